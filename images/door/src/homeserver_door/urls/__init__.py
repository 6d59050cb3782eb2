"""Which pages each host has."""
