"""A mail server that stores received messages."""

import email
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

PORT = 8025  # the port in molecule/variables.yml


@dataclass
class Mailbox:
    """The messages so far, in order."""

    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        """Store a message."""
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@contextmanager
def receiving(address: str) -> Iterator[Mailbox]:
    """Receive mail at an address of this computer until the block ends."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname=address, port=PORT)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
