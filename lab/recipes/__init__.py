"""How each part of the lab is built."""
