"""An HTTP server on loopback whose answers tests decide, by twisted.web."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.ssl import PrivateCertificate
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

Answer = Callable[[Request], bytes | int]


class HttpServer(Resource):
    """
    :param answer: what a request gets: a whole body, or ``NOT_DONE_YET``.

    :ivar requests: that came, in order.
    :ivar asked: fires with the next request.
    """

    isLeaf = True

    def __init__(self, reactor: Any, answer: Answer, certificate: PrivateCertificate | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.requests: list[Request] = []
        self.asked: Deferred[Request] = Deferred()
        self._reactor = reactor
        self._certificate = certificate
        self.site = Site(self)
        self.site.noisy = False
        self.port = self._listen(0)
        self._number = self.port.getHost().port
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self._number}"

    def _listen(self, number: int) -> Any:
        if self._certificate is None:
            return self._reactor.listenTCP(number, self.site, interface="127.0.0.1")
        return self._reactor.listenSSL(number, self.site, self._certificate.options(), interface="127.0.0.1")

    def render(self, request: Request) -> bytes | int:
        self.requests.append(request)
        asked, self.asked = self.asked, Deferred()
        answer = self.answer(request)
        self._reactor.callLater(0, asked.callback, request)
        return answer

    def reopen(self) -> None:
        """Listen at the same port again."""
        self.port = self._listen(self._number)

    async def close(self) -> None:
        await maybeDeferred(self.port.stopListening)


def never(request: Request) -> int:
    """The head doesn't come."""
    request.notifyFinish().addErrback(lambda _: None)
    return NOT_DONE_YET
