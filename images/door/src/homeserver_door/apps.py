"""The Django app."""

from django.apps import AppConfig


class Door(AppConfig):
    """People, invitations and pages."""

    name = "homeserver_door"
    label = "door"

    def ready(self) -> None:
        """Write down who comes and goes."""
        from homeserver_door import events

        events.connect()
