"""
A stage of one's own: whose shop a request is for, by the first label of its host.

The stage refuses hosts of nobody, tells the service whose shop it is, and tells the client how busy that was.
docs/extending.md has the configuration that names it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from apigw.extension import Exchange, Refused, Response, Stage, tell_service


class NoSuchShop(Refused):
    """The error that clients see: a status, a stable code and one sentence."""

    status = 404
    code = "no-such-shop"
    title = "There is no such shop"


class Tenant(Stage):
    """
    :param shops: path of a JSON file, from the first label of a host to a name.
    :param most: requests at a time for each shop.
    """

    def __init__(self, shops: str, most: int = 100) -> None:
        self._shops: dict[str, str] = json.loads(Path(shops).read_text("utf-8"))
        self._most = most
        self._busy: Counter[str] = Counter()

    def start(self, reactor: Any) -> None:
        """Timers and connections begin here."""

    def stop(self) -> None:
        """And end here."""

    def request(self, exchange: Exchange) -> None:
        """On the way down. To wait for something, make it ``async def``."""
        label = exchange.request.authority.decode("latin-1").partition(".")[0]
        shop = self._shops.get(label)
        if shop is None:
            raise NoSuchShop(f"Nobody has a shop at {label}.")
        if self._busy[shop] >= self._most:
            raise Refused("The shop is too busy.", status=503, code="shop-busy", retry_after=1.0)
        self._busy[shop] += 1
        exchange.kept[self] = shop
        tell_service(exchange, b"X-Shop", shop.encode())

    def response(self, exchange: Exchange, response: Response) -> None:
        """On the way up, for errors too."""
        shop = exchange.kept.get(self)
        if shop is not None:
            response.fields.append((b"X-Shop-Busy", str(self._busy[shop]).encode()))

    def done(self, exchange: Exchange) -> None:
        """After the last byte, or when the client has gone."""
        shop = exchange.kept.pop(self, None)
        if shop is not None:
            self._busy[shop] -= 1
