"""What gets the answer to one attempt: a service's upstream, or something around it that hedges or limits."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Protocol

from apigw.messages import Attempt, Exchange
from apigw.policy.balance import Candidate
from apigw.upstream.peer import Peer
from apigw.upstream.response import PeerResponse

Tried = Collection[Candidate[Peer]]


class Send(Protocol):
    def __call__(
        self,
        exchange: Exchange,
        attempt: Attempt,
        target: bytes,
        has_host: bool,
        lines: bytes,
        key: bytes | None = None,
        tried: Tried = (),
    ) -> Awaitable[PeerResponse]:
        """
        Get an answer from one peer.

        :param target: path and query, as the service gets them.
        :param has_host: Host is among the fields; else it is set to the peer's authority.
        :param lines: all fields but the framing ones, as they go on the wire.
        :param key: what consistent hashing goes by.
        :param tried: candidates that are taken only if there is no other.
        :raises GatewayError: there is none, for whatever reason.
        """
