"""
Peers from an HTTP registry, which is asked for all services at once::

    GET /api/discovery/services
    {"services": [{"name": "user", "host": "10.0.0.1", "port": 9001, "weight": 2}, ...]}

``host`` is an address or a name, ``weight`` a whole number (1 where there is none, 0 for no requests), ``scheme``
``http`` or ``https``, ``healthy`` false for no requests; whatever else an entry has is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from apigw.upstream.discovery.dns import TtlBounds
from apigw.upstream.discovery.http import get_json
from apigw.upstream.discovery.names import Names, NotFound
from apigw.upstream.discovery.resolv_conf import is_address
from apigw.upstream.discovery.source import Answer, Found, Malformed, Nothing, Source, SourceFailed

TIMEOUT = 5.0
MAX_BODY = 4 * 1024 * 1024
"""Bytes; some 40,000 peers."""

MAX_WEIGHT = 65535
AGAIN = 1.0
"""Seconds for which a failure counts for all services that ask."""

Catalogued = Mapping[str, "tuple[Found, ...] | SourceFailed"]
"""By name of the service; a failure where an entry of that very service is malformed."""


def parse_catalog(document: object) -> Catalogued:
    """
    :param document: parsed JSON.
    :raises SourceFailed: it is none of a registry, or it can't be told whose an entry is.
    """
    if not isinstance(document, dict) or not isinstance(services := document.get("services"), list):
        raise Malformed('the registry\'s answer is not {"services": [...]}')
    found: dict[str, list[Found]] = {}
    bad: dict[str, SourceFailed] = {}
    for number, entry in enumerate(services):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise Malformed(f"entry {number} of the registry has no name")
        peers = found.setdefault(name, [])
        try:
            peers += _entry(entry)
        except ValueError as error:
            bad[name] = Malformed(f"entry {number} of the registry, of {name[:100]!r}: {error}")
    return {name: bad.get(name) or tuple(peers) for name, peers in found.items()}


def _entry(entry: Mapping[str, Any]) -> list[Found]:
    """:raises ValueError: says what is wrong."""
    host, port, weight = entry.get("host"), entry.get("port"), entry.get("weight", 1)
    scheme, healthy = entry.get("scheme", "http"), entry.get("healthy", True)
    if not isinstance(host, str) or not 0 < len(host) < 254 or not host.isascii() or set(host) & _NO_HOST:
        raise ValueError("host is no address and no name")
    if type(port) is not int or not 0 < port < 65536:
        raise ValueError("port is no number from 1 to 65535")
    if type(weight) is not int or not 0 <= weight <= MAX_WEIGHT:
        raise ValueError(f"weight is no whole number from 0 to {MAX_WEIGHT}")
    if scheme not in ("http", "https"):
        raise ValueError("scheme is neither http nor https")
    if type(healthy) is not bool:
        raise ValueError("healthy is neither true nor false")
    host = str(ip_address(host)) if is_address(host) else host.lower()
    return [Found(scheme=scheme, host=host, port=port, weight=weight)] if weight and healthy else []


_NO_HOST = {*map(chr, range(33)), *"/\\@?#[]%\x7f"}


class Catalog:
    """
    What the registry says of all services; asked once an interval, however many look into it.

    :param seconds: monotonic.
    :param interval: seconds between questions.
    """

    def __init__(self, url: str, agent: IAgent, clock: Any, seconds: Callable[[], float], interval: float) -> None:
        self._url = url
        self._agent = agent
        self._clock = clock
        self._seconds = seconds
        self.interval = interval
        self._known: Catalogued | SourceFailed = SourceFailed("not asked yet")
        self._until = float("-inf")
        self._waiting: list[Deferred[None]] = []
        self._asking: Deferred[None] | None = None

    async def look_up(self, name: str) -> tuple[tuple[Found, ...], float]:
        """
        :return: the peers of a service, and for how many seconds they hold.
        :raises SourceFailed: the registry doesn't know.
        """
        if self._seconds() >= self._until:
            await self._join()
        known = self._known
        if isinstance(known, SourceFailed):
            raise known
        found = known.get(name)
        if found is None:
            raise Nothing(f"{self._url} knows no service {name}")
        if isinstance(found, SourceFailed):
            raise found
        return found, max(0.0, self._until - self._seconds())

    def _join(self) -> Deferred[None]:
        """One question for all who come while it is under way; it is given up when nobody waits any more."""
        waiting: Deferred[None] = Deferred(self._leave)
        self._waiting.append(waiting)
        if self._asking is None:
            self._asking = Deferred.fromCoroutine(self._ask())
            self._asking.addBoth(self._asked)
        return waiting

    def _leave(self, waiting: Deferred[None]) -> None:
        self._waiting.remove(waiting)
        if not self._waiting and self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        document = await get_json(self._agent, self._clock, self._url, {}, timeout=TIMEOUT, most=MAX_BODY)
        self._known = parse_catalog(document)

    def _asked(self, outcome: object) -> None:
        self._asking = None
        self._until = self._seconds() + self.interval
        if isinstance(outcome, Failure):
            error = outcome.value
            self._known = error if isinstance(error, SourceFailed) else SourceFailed(f"{self._url}: {error!r}")
            self._until = self._seconds() + AGAIN
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


@frozen
class CatalogSource(Source):
    """
    The peers of one service in the registry.

    :ivar name: of the service there.
    :ivar bounds: between which the addresses of names are looked up again.
    """

    catalog: Catalog
    names: Names
    name: str
    backup: bool
    bounds: TtlBounds

    @property
    def label(self) -> str:
        return f"registry:{self.name}"

    async def fetch(self) -> Answer:
        entries, ttl = await self.catalog.look_up(self.name)
        found: list[Found] = []
        for entry in entries:
            entry = evolve(entry, backup=self.backup)
            if is_address(entry.host):
                found.append(entry)
                continue
            try:
                resolved = await self.names.addresses(entry.host)
            except NotFound:
                continue
            ttl = min(ttl, self.bounds(resolved.ttl))
            found += [evolve(entry, host=address, name=entry.host.rstrip(".")) for address in resolved.values]
        return Answer(tuple(found), ttl)
