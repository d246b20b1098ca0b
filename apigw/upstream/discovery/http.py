"""Documents over HTTP for sources: plain treq without cookies and redirects, bounded in size and time."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Mapping
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from apigw.upstream.discovery.source import Malformed, SourceFailed


class BadStatus(SourceFailed):
    """:ivar status: of the answer, not 200."""

    kind = "status"

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answers with status {status}")
        self.status = status


async def get(agent: IAgent, clock: Any, url: str, fields: Mapping[str, str], timeout: float) -> Any:
    """
    :param timeout: seconds to the head of the answer.
    :return: treq's response with status 200, its body unread.
    :raises BadStatus: it is another status.
    :raises SourceFailed: there is none; says why.
    """
    return await _within(timeout, clock, url, _get(agent, url, fields))


async def get_json(agent: IAgent, clock: Any, url: str, fields: Mapping[str, str], *, timeout: float, most: int) -> Any:
    """
    :param timeout: seconds for all of it.
    :param most: bytes of the body.
    :return: the document.
    :raises SourceFailed: there is none; says why.
    """
    return await _within(timeout, clock, url, _get_json(agent, url, fields, most))


async def _get(agent: IAgent, url: str, fields: Mapping[str, str]) -> Any:
    headers = Headers({name: [value] for name, value in {"User-Agent": "apigw discovery", **fields}.items()})
    # A client for each request: its cookie jar is empty, and stays so.
    response = await HTTPClient(agent).get(url, headers=headers, allow_redirects=False, unbuffered=True)
    if response.code != 200:
        body = Body(0)
        body.done.addErrback(lambda _: None)
        response.deliverBody(body)
        body.done.cancel()
        raise BadStatus(url, response.code)
    return response


async def _get_json(agent: IAgent, url: str, fields: Mapping[str, str], most: int) -> Any:
    response = await _get(agent, url, {"Accept": "application/json", **fields})
    body = Body(most)
    response.deliverBody(body)
    data = await body.done
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{url} gives no JSON: {error}") from None


async def _within(seconds: float, clock: Any, url: str, asking: Coroutine[Deferred[Any], Any, Any]) -> Any:
    """Twisted's agent has errors of its own for what was cancelled, so ``Deferred.addTimeout`` wouldn't know them."""
    asked = Deferred.fromCoroutine(asking)
    timer = clock.callLater(seconds, asked.cancel)
    try:
        return await asked
    except Exception as error:
        if not timer.active():
            raise SourceFailed(f"{url} gives no answer in {seconds:g} s") from None
        cause = error.reasons[0].value if isinstance(error, ResponseFailed) and error.reasons else error
        if isinstance(cause, SourceFailed | CancelledError):
            raise cause from None
        raise SourceFailed(f"{url}: {str(cause) or type(cause).__name__}") from None
    finally:
        if timer.active():
            timer.cancel()


class Body(Protocol):
    """
    Gathers a body.

    :param most: bytes.

    :ivar done: fires with the whole of it; fails with :class:`SourceFailed`; cancelled, it closes the connection.
    """

    transport: Any

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.done: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._most and not self.done.called:
            self._data.clear()
            self.done.errback(Malformed(f"the answer has more than {self._most} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # JSON that was cut isn't JSON
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(SourceFailed("the answer was cut"))

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
