"""Serves the page until SIGTERM. The argument is the directory of the mounted files."""

import signal
import sys
import threading
from pathlib import Path

from homeserver_welcome.home import read
from homeserver_welcome.roll import Roll
from homeserver_welcome.server import Welcome

PORT = 8080


def main() -> None:
    """Serve."""
    server = Welcome(("", PORT), read(Path(sys.argv[1])), Roll())
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
