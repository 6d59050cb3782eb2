"""The database of the example app `db`."""

from harness.home import Kubectl

_PSQL = "-n apps exec deployment/db -- psql --host=127.0.0.1 --quiet --tuples-only --no-align"


def ask(kubectl: Kubectl, statement: str) -> str:
    """Run an SQL statement, and return its rows, one in a line."""
    return kubectl(f'{_PSQL} --command="{statement}"').strip()
