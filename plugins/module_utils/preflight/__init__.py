"""The checks of preflight: values, relations between them, machines, and files of other programs."""
