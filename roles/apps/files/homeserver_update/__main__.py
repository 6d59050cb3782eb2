"""Runs the program, even if Python only gets the path of this directory."""

import os
import sys

# In that case, Python searches this directory for modules and does not find the package itself.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

from homeserver_update.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
