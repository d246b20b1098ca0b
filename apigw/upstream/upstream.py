"""A service: its peers, which of them gets the next request, and where requests wait when all are busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from apigw.errors import UpstreamUnavailable
from apigw.messages import Attempt
from apigw.upstream.peer import Peer
from apigw.upstream.queue import WaitingLine
from apigw.upstream.response import PeerResponse


class Upstream:
    """
    :param name: of the service.
    :param clock: for the time in the queue.
    :param max_queue: requests that may wait for a connection.
    :param queue_timeout: seconds they may wait.
    """

    def __init__(
        self,
        name: str,
        clock: IReactorTime,
        seconds: Callable[[], float],
        max_queue: int,
        queue_timeout: float,
    ) -> None:
        self.name = name
        self.peers: Sequence[Peer] = ()
        self._seconds = seconds
        self._line = WaitingLine(clock, max_queue, queue_timeout)
        self._next = 0

    def freed(self) -> None:
        """For the pools: a connection has become free."""
        self._line.wake()

    async def request(
        self, method: bytes, target: bytes, host: bytes, lines: bytes, body: Any, attempt: Attempt
    ) -> PeerResponse:
        """
        Get an answer from one peer.

        :param host: value of Host, empty for the peer's own authority.
        :param lines: all other fields but the framing ones, as they go on the wire.
        :raises GatewayError: there is none, for whatever reason.
        """
        peer = None if len(self._line) else self._pick()
        while peer is None:
            begun = self._seconds()
            await self._line.join()
            attempt.queued += self._seconds() - begun
            peer = self._pick()
        attempt.peer = peer.label
        lines = b"Host: %b\r\n%b" % (host or peer.authority, lines)
        return await peer.client.request(method, peer.origin + target, headers=lines, data=body, attempt=attempt)

    def _pick(self) -> Peer | None:
        """:return: None while all connections are in use."""
        peers = self.peers
        if not peers:
            raise UpstreamUnavailable(f"No address is known for the service {self.name}.", retry_after=1.0)
        for _ in peers:
            peer = peers[self._next % len(peers)]
            self._next += 1
            if not peer.pool.full:
                return peer
        return None

    def close(self) -> None:
        """Take no more work; connections end as they become idle."""
        for peer in self.peers:
            peer.pool.close()

    def abort(self) -> None:
        """Cut all connections."""
        for peer in self.peers:
            peer.pool.abort()
