"""Who visits the app. Also for Locust's own command: `locust -f loadtest/locustfile.py --host URL`."""

from locust import FastHttpUser, task


class Visitor(FastHttpUser):
    """Reads the greeting as fast as it is answered, three times out of four as a page."""

    insecure = False

    @task(3)
    def read_page(self) -> None:
        """As a browser does."""
        self._read("text/html")

    @task(1)
    def read_json(self) -> None:
        """As a program does."""
        self._read("application/json")

    def _read(self, media_type: str) -> None:
        headers = {"Accept": media_type}
        with self.client.get("/", headers=headers, name=media_type, catch_response=True) as response:
            if response.status_code == 200 and not response.headers["Content-Type"].startswith(media_type):
                response.failure(f"asked for {media_type}, got {response.headers['Content-Type']}")
