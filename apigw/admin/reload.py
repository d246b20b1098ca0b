"""Asks for a reload of the configuration, and tells how the last one ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apigw.admin.health import READ, answer
from apigw.dates import HttpDate
from apigw.errors import MethodNotAllowed
from apigw.messages import Exchange, Response

PATH = "/api/reload"


class ReloadApi:
    """
    :param reload: :return: whether the new configuration is in force.
    :param told: how the last one ended.
    :param check: raises what refuses it while another process is about to follow, which has read the configuration.
    """

    def __init__(
        self,
        reload: Callable[[], Awaitable[bool]],
        told: Callable[[], dict[str, object]],
        date: HttpDate,
        check: Callable[[], None],
    ) -> None:
        self._reload = reload
        self._told = told
        self._date = date
        self._check = check

    async def __call__(self, exchange: Exchange) -> Response:
        """
        GET tells, POST reloads first; 409 where the configuration was refused.

        :raises MethodNotAllowed: anything else.
        """
        method = exchange.request.method
        if method in READ:
            return answer(200, b"OK", self._told(), self._date)
        if method != b"POST":
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD, POST")])
        self._check()
        done = await self._reload()
        return answer(200 if done else 409, b"OK" if done else b"Conflict", self._told(), self._date)
