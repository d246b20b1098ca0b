"""Takes the body of a request as a whole, where one is needed so."""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer


@implementer(IConsumer)
class Collected:
    """Takes a body as a whole."""

    def __init__(self) -> None:
        self.data = bytearray()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """All is taken as it comes."""

    def unregisterProducer(self) -> None:
        """The end."""

    def write(self, data: bytes) -> None:
        self.data += data
