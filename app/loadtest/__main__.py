"""Run load against the app, print the results, and fail if a limit is exceeded."""

import argparse
import ssl
import sys
from collections import Counter
from dataclasses import dataclass

import gevent
import gevent.socket
from locust.env import Environment
from locust.stats import RequestStats

from .locustfile import Visitor


@dataclass(frozen=True)
class Result:
    """The results of a load test: times in milliseconds, the rate in requests per second."""

    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float
    errors: Counter[str]

    @classmethod
    def of(cls, stats: RequestStats) -> "Result":
        """Create the result from Locust's statistics."""
        total = stats.total
        p50, p95, p99 = (total.get_response_time_percentile(share) or 0.0 for share in (0.5, 0.95, 0.99))
        errors = Counter[str]()
        for error in stats.errors.values():
            errors[str(error.error)] += error.occurrences
        return cls(total.num_requests, total.num_failures, total.total_rps, p50, p95, p99, errors)

    @property
    def failed_percent(self) -> float:
        """The percentage of requests that failed."""
        return 100 * self.failures / max(self.requests, 1)

    def shortcomings(self, limits: argparse.Namespace) -> list[str]:
        """Return a sentence for each exceeded limit."""
        if not self.requests:
            return ["not one request was answered"]
        found = []
        if self.failed_percent > limits.max_errors:
            found.append(
                f"{self.failed_percent:.2f} % of the requests failed, more than {limits.max_errors} %"
            )
        if limits.max_p99 is not None and self.p99 > limits.max_p99:
            found.append(f"p99 is {self.p99:.0f} ms, more than {limits.max_p99:g} ms")
        if limits.min_rate is not None and self.rate < limits.min_rate:
            found.append(f"{self.rate:.1f} requests per second, fewer than {limits.min_rate:g}")
        return found

    def __str__(self) -> str:
        rows = [
            f"requests    {self.requests}",
            f"rate        {self.rate:.1f} per second",
            f"failed      {self.failures} ({self.failed_percent:.2f} %)",
            f"p50         {self.p50:.0f} ms",
            f"p95         {self.p95:.0f} ms",
            f"p99         {self.p99:.0f} ms",
        ]
        rows += [f"{count} times: {error}" for error, count in self.errors.most_common()]
        return "\n".join(rows)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="loadtest", description=__doc__)
    options.add_argument("url", help="base URL of the app")
    options.add_argument("--users", type=int, default=20, help="concurrent users (default: %(default)s)")
    options.add_argument(
        "--seconds", type=float, default=30, help="duration in seconds (default: %(default)s)"
    )
    options.add_argument("--ca", metavar="FILE", help="certificate authority to trust (PEM)")
    options.add_argument("--address", help="connect to this address instead of resolving the URL's host")
    options.add_argument(
        "--max-errors", type=float, default=0, metavar="PERCENT", help="(default: %(default)s)"
    )
    options.add_argument("--max-p99", type=float, metavar="MS")
    options.add_argument("--min-rate", type=float, metavar="PER_SECOND")
    return options


def connect_to(address: str) -> None:
    """Resolve every host name in this process to one address."""
    resolve = gevent.socket.getaddrinfo
    gevent.socket.getaddrinfo = lambda _host, *rest: resolve(address, *rest)


def run(url: str, users: int, seconds: float, ca: str | None) -> Result:
    """Send load to the URL with this number of users for this time."""
    Visitor.ssl_context_factory = staticmethod(lambda: ssl.create_default_context(cafile=ca))
    environment = Environment(user_classes=[Visitor], host=url.rstrip("/"))
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=min(users, 100))
    gevent.sleep(seconds)
    runner.quit()
    return Result.of(environment.stats)


def main() -> int:
    """Run the load test; return 1 if a limit was exceeded, else 0."""
    options = parser().parse_args()
    if options.address:
        connect_to(options.address)
    result = run(options.url, options.users, options.seconds, options.ca)
    print(result)
    shortcomings = result.shortcomings(options)
    for shortcoming in shortcomings:
        print(f"FAILED: {shortcoming}", file=sys.stderr)
    return 1 if shortcomings else 0


if __name__ == "__main__":
    sys.exit(main())
