"""What is done all the time while something else happens."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeatedly(act: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something in a thread, with a pause of so many seconds before each time, until the block ends."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(pause):
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
