"""From a name to addresses: the hosts file, the search list, aliases, IPv6 where there is no IPv4."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address
from math import inf
from typing import Any

from attrs import frozen
from twisted.names import dns

from apigw.upstream.discovery.nameserver import Records
from apigw.upstream.discovery.resolv_conf import ResolverSettings, hosts_addresses
from apigw.upstream.discovery.source import Malformed, Nothing

MAX_ALIASES = 8
"""In a row; BIND's resolver follows 11, and who needs more than two has a loop as a rule."""


class NotFound(Nothing):
    """There is no such thing in the DNS; which is something else than not being able to tell."""


@frozen
class Resolved:
    """
    :ivar values: addresses, or the payloads of SRV records.
    :ivar ttl: seconds for which they hold, infinite for what is in no DNS.
    """

    values: tuple[Any, ...]
    ttl: float


class Names:
    """
    :param ask: the DNS; name and kind of record.
    :param settings: of the resolver, read for each look-up, for they change in the life of a gateway.
    :param hosts: the content of the hosts file, likewise.
    :param seconds: monotonic.
    :param longest: seconds for which addresses are kept at the most; for their TTL otherwise, whoever asks for them.
    """

    def __init__(
        self,
        ask: Callable[[ResolverSettings, str, int], Awaitable[Records]],
        settings: Callable[[], ResolverSettings],
        hosts: Callable[[], str],
        seconds: Callable[[], float],
        longest: float,
    ) -> None:
        self._ask = ask
        self._settings = settings
        self._hosts = hosts
        self._seconds = seconds
        self._longest = longest
        self._kept: dict[str, tuple[float, Resolved]] = {}

    async def addresses(self, name: str) -> Resolved:
        """
        The addresses of a host: IPv4 ones, and IPv6 ones only where there is none of those, for both are the same
        machine as a rule and would count twice.

        :raises NotFound: there are none.
        :raises SourceFailed: it can't be told.
        """
        local = hosts_addresses(self._hosts(), name)
        if not local and (name == "localhost" or name.endswith(".localhost")):
            local = ["127.0.0.1"]  # RFC 6761 section 6.3: never asked of any DNS
        if local:
            return Resolved(tuple([address for address in local if ":" not in address] or local), inf)
        now = self._seconds()
        self._kept = {key: one for key, one in self._kept.items() if one[0] > now}
        if name in self._kept:
            until, resolved = self._kept[name]
            return Resolved(resolved.values, until - now)
        resolved = await self._asked(name)
        self._kept[name] = (self._seconds() + min(resolved.ttl, self._longest), resolved)
        return resolved

    async def _asked(self, name: str) -> Resolved:
        settings = self._settings()
        for candidate in settings.candidates(name):
            four = await self._records(settings, candidate, dns.A)
            if four is None:
                continue
            if four.values:
                return Resolved(tuple(payload.dottedQuad() for payload in four.values), four.ttl)
            six = await self._records(settings, candidate, dns.AAAA)
            if six is not None and six.values:
                return Resolved(tuple(str(IPv6Address(payload.address)) for payload in six.values), six.ttl)
        raise NotFound(f"{name} has no address")

    async def services(self, name: str) -> Resolved:
        """
        The SRV records of a name (RFC 2782).

        :raises NotFound: there are none.
        :raises SourceFailed: it can't be told.
        """
        settings = self._settings()
        for candidate in settings.candidates(name):
            records = await self._records(settings, candidate, dns.SRV)
            if records is not None and records.values:
                return records
        raise NotFound(f"{name} has no SRV record")

    async def _records(self, settings: ResolverSettings, name: str, kind: int) -> Resolved | None:
        """:return: the payloads; None where there is no such name."""
        ttl = inf
        for _ in range(MAX_ALIASES):
            records = await self._ask(settings, name, kind)
            asked = name
            name, ttl = _follow(records.answers, name, ttl)
            found = [record for record in records.answers if record.type == kind and _named(record) == name.lower()]
            if found:
                return Resolved(tuple(record.payload for record in found), min(ttl, *(one.ttl for one in found)))
            if not records.exists:
                return None
            if name == asked:
                return Resolved((), ttl)
        raise Malformed(f"{asked} goes through too many aliases")


def _follow(answers: Sequence[Any], name: str, ttl: float) -> tuple[str, float]:
    """:return: the end of a chain of aliases, and for how long it leads there."""
    aliases = {_named(record): record for record in answers if record.type == dns.CNAME}
    for _ in range(MAX_ALIASES):
        alias = aliases.get(name.lower())
        if alias is None:
            break
        name, ttl = str(alias.payload.name), min(ttl, alias.ttl)
    return name, ttl


def _named(record: Any) -> str:
    return str(record.name).lower()
