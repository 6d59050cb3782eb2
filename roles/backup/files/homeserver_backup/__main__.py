"""Runs the program, also where Python is given only the path of this directory."""

import os
import sys

# Python then looks for modules in this directory, and not for the package itself.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

from homeserver_backup.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
