#!/usr/bin/python3 -I
"""Run microk8s.join of this snap, where Canonical's has the program behind its command."""

import os
import sys

sys.path[:0] = [f"{os.environ['SNAP']}/lib", f"{os.environ['SNAP']}/usr/lib/python3/dist-packages"]

from microk8s.join import main  # noqa: E402 # only found now

main(sys.argv[1:])
