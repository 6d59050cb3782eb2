"""What preflight judges: values, relations between them, the machines, and files of other programs."""
