"""Requests as clients of a home server make them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import requests


@contextmanager
def steady_traffic(
    url: str, ca: str, agent: str = "steady-traffic/1", clients: int = 4
) -> Iterator[Counter[str]]:
    """Send requests one after the other from several clients, each on a new connection, until left.

    Yields a tally of the answers, by status or, where there was no answer, by the error. It is
    complete when the context is left. The clients call themselves `agent`.
    """
    answers: Counter[str] = Counter()
    enough = threading.Event()

    def send() -> None:
        while not enough.is_set():
            try:
                answer = requests.get(url, headers={"User-Agent": agent}, verify=ca, timeout=10)
                answers[str(answer.status_code)] += 1
            except requests.RequestException as error:
                answers[repr(error)] += 1
            time.sleep(0.02)

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def durations(url: str, ca: str, count: int) -> list[float]:
    """Send requests one after the other on one connection; return the seconds each took, the shortest first.

    Raises:
        requests.HTTPError: One was not answered as it should be.
    """
    seconds = []
    with requests.Session() as session:
        for _ in range(count):
            started = time.perf_counter()
            session.get(url, verify=ca, timeout=10).raise_for_status()
            seconds.append(time.perf_counter() - started)
    return sorted(seconds)
