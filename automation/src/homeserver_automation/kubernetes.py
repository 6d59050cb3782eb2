"""As much of the Kubernetes API as it takes to start a Job from a CronJob, with nothing but Python."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

Object = dict[str, Any]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10
"""Seconds one request may take."""


class RefusedError(Exception):
    """The API did not do what it was asked; the message says why."""


class Jobs:
    """The Jobs of one namespace."""

    def __init__(self, server: str, namespace: str, account: Path = ACCOUNT) -> None:
        """Use the account that Kubernetes gives a pod.

        Args:
            server: The URL of the API.
            namespace: Where the Jobs are.
            account: The directory with the account's token and the API's authority.
        """
        self._root = f"{server}/apis/batch/v1/namespaces/{namespace}"
        self._account = account
        authority = account / "ca.crt"
        self._context = ssl.create_default_context(cafile=str(authority)) if authority.exists() else None

    def labelled(self, label: str, value: str) -> list[Object]:
        """Return the Jobs with a label of this value.

        Raises:
            RefusedError: The API did not answer, or refused.
        """
        selector = urllib.parse.quote(f"{label}={value}")
        items: list[Object] = self._ask(f"jobs?labelSelector={selector}")["items"]
        return items

    def template(self, cron_job: str) -> Object:
        """Return what a CronJob makes Jobs from.

        Raises:
            RefusedError: The API did not answer, or refused.
        """
        template: Object = self._ask(f"cronjobs/{cron_job}")["spec"]["jobTemplate"]
        return template

    def create(self, job: Object) -> str:
        """Start a Job and return its name.

        Raises:
            RefusedError: The API did not answer, or refused.
        """
        return str(self._ask("jobs", job)["metadata"]["name"])

    def _ask(self, path: str, body: Object | None = None) -> Object:
        headers = {
            "Authorization": f"Bearer {(self._account / 'token').read_text().strip()}",  # which is renewed
            "Content-Type": "application/json",
        }
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self._root}/{path}", data, headers)  # noqa: S310 (our own server)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._context) as answer:  # noqa: S310
                decoded: Object = json.load(answer)
        except urllib.error.HTTPError as error:
            raise RefusedError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise RefusedError(f"{path}: {error}") from error
        return decoded
