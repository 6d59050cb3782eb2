"""A minimal Kubernetes client that starts a Job from a CronJob, with only the standard library."""

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
"""Timeout of a request, in seconds."""


class RefusedError(Exception):
    """The API rejected a request or did not respond; the message says why."""


class Jobs:
    """The Jobs of one namespace."""

    def __init__(self, server: str, namespace: str, account: Path = ACCOUNT) -> None:
        """Use the service account of this pod.

        Args:
            server: The URL of the API.
            namespace: The namespace of the Jobs.
            account: The directory with the account's token and the CA certificate.
        """
        self._root = f"{server}/apis/batch/v1/namespaces/{namespace}"
        self._account = account
        authority = account / "ca.crt"
        self._context = ssl.create_default_context(cafile=str(authority)) if authority.exists() else None

    def labelled(self, label: str, value: str) -> list[Object]:
        """Return the Jobs with this value of a label.

        Raises:
            RefusedError: The API rejected the request or did not respond.
        """
        selector = urllib.parse.quote(f"{label}={value}")
        items: list[Object] = self._request(f"jobs?labelSelector={selector}")["items"]
        return items

    def template(self, cron_job: str) -> Object:
        """Return the Job template of a CronJob.

        Raises:
            RefusedError: The API rejected the request or did not respond.
        """
        template: Object = self._request(f"cronjobs/{cron_job}")["spec"]["jobTemplate"]
        return template

    def create(self, job: Object) -> str:
        """Start a Job and return its name.

        Raises:
            RefusedError: The API rejected the request or did not respond.
        """
        return str(self._request("jobs", job)["metadata"]["name"])

    def _request(self, path: str, body: Object | None = None) -> Object:
        headers = {
            "Authorization": f"Bearer {(self._account / 'token').read_text().strip()}",  # rotated
            "Content-Type": "application/json",
        }
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self._root}/{path}", data, headers)  # noqa: S310 (fixed API server)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._context) as answer:  # noqa: S310
                decoded: Object = json.load(answer)
        except urllib.error.HTTPError as error:
            raise RefusedError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise RefusedError(f"{path}: {error}") from error
        return decoded
