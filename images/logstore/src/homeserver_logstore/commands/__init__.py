"""The commands, one module each.

Each has `add_arguments(parser)`, which may add options, and `run(arguments)`, which returns the exit status.
The first line of its docstring is its help text.
"""
