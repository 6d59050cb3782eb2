"""The simulated users. Also for Locust's own command: `locust -f loadtest/locustfile.py --host URL`."""

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """Requests the greeting without pause, three times out of four as HTML."""

    insecure = False

    @task(3)
    def read_page(self) -> None:
        """Request HTML, like a browser."""
        self._read("text/html")

    @task(1)
    def read_json(self) -> None:
        """Request JSON, like a program."""
        self._read("application/json")

    def _read(self, media_type: str) -> None:
        headers = {"Accept": media_type}
        with self.client.get("/", headers=headers, name=media_type, catch_response=True) as response:
            if response.status_code == 200 and not response.headers["Content-Type"].startswith(media_type):
                response.failure(f"asked for {media_type}, got {response.headers['Content-Type']}")
