"""Closes doors: to addresses that are not admitted, during maintenance, and in browsers by fields of answers."""

from __future__ import annotations

from functools import lru_cache, partial

from apigw.errors import AddressRefused, Maintenance
from apigw.messages import Exchange, Response
from apigw.pipeline import Stage
from apigw.policy.ip_lists import IpLists
from apigw.policy.maintenance import Door, wait
from apigw.policy.security_headers import SecurityHeaders

ADDRESSES = 10_000
"""Whose verdicts are remembered."""


class AddressLists(Stage):
    """
    Refuses addresses.

    :param enforce: False to let them pass, and say so in the log.
    """

    def __init__(self, lists: IpLists, enforce: bool = True) -> None:
        self._admits = lru_cache(ADDRESSES)(lists.admits)
        self._enforce = enforce

    pure = True

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"client": exchange.client_ip, "enforced": self._enforce}

    def request(self, exchange: Exchange) -> None:
        if self._admits(exchange.client_ip):
            return
        if self._enforce:
            raise AddressRefused
        exchange.would_refuse = AddressRefused.code


class Closed(Stage):
    """Refuses all that some door doesn't admit."""

    def __init__(self, *doors: Door) -> None:
        self._wait = lru_cache(ADDRESSES)(partial(wait, doors))

    pure = True

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"retry_after": self._wait(exchange.client_ip), "client": exchange.client_ip}

    def request(self, exchange: Exchange) -> None:
        seconds = self._wait(exchange.client_ip)
        if seconds:
            raise Maintenance(retry_after=seconds)


class ResponseHeaders(Stage):
    def __init__(self, headers: SecurityHeaders) -> None:
        self._headers = headers

    def response(self, exchange: Exchange, response: Response) -> None:
        notes = response.notes
        known = None if notes is None else notes.get(self)
        if known is None:
            known = self._headers.lines(response.seen)
            if notes is not None:
                notes[self] = known
        response.lines += known
