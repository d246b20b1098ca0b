"""A name server on loopback, UDP and TCP on the same port, of which tests decide what it says."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.internet.error import CannotListenError
from twisted.names import dns, error
from twisted.names.common import ResolverBase
from twisted.names.server import DNSServerFactory


class Zone(ResolverBase):
    """
    :ivar records: by name and type.
    :ivar failing: names with which the server has trouble.
    :ivar follows: aliases, as far as this zone goes.
    :ivar asked: how often, by name and type.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[tuple[str, int], list[Any]] = {}
        self.failing: set[str] = set()
        self.follows = True
        self.asked: Counter[tuple[str, int]] = Counter()

    def set(self, name: str, *payloads: Any, ttl: int = 30) -> None:
        """Replace the records of one name and type."""
        kind = payloads[0].TYPE
        self.records[name, kind] = [dns.RRHeader(name.encode(), kind, dns.IN, ttl, one, auth=True) for one in payloads]

    def a(self, name: str, *addresses: str, ttl: int = 30) -> None:
        self.set(name, *(dns.Record_A(address) for address in addresses), ttl=ttl)

    def query(self, query: Any, timeout: object = None) -> Any:
        name, kind = str(query.name).lower(), query.type
        self.asked[name, kind] += 1
        if name in self.failing:
            return fail(error.DNSServerError())
        answers: list[Any] = []
        while self.follows and (alias := self.records.get((name, dns.CNAME))) and len(answers) < 20:
            answers += alias
            name = str(alias[0].payload.name).lower()
        answers += self.records.get((name, kind), []) or (not answers and self.records.get((name, dns.CNAME), [])) or []
        if not any(known == name for known, _ in self.records):
            return fail(error.DomainError())
        return succeed((answers, [], []))


class Factory(DNSServerFactory):
    """Trouble is SERVFAIL, absence is NXDOMAIN; over UDP answers have 512 bytes at the most."""

    noisy = False

    def gotResolverError(self, failure: Any, protocol: Any, message: Any, address: Any) -> None:
        code = dns.ESERVER if failure.check(error.DNSServerError) else dns.ENAME
        self.sendReply(protocol, self._responseFromMessage(message=message, rCode=code), address)

    def sendReply(self, protocol: Any, message: Any, address: Any) -> None:
        if address is not None:
            message.maxSize = 512
        super().sendReply(protocol, message, address)


class NameServer:
    """:ivar address: host and port, once it listens."""

    def __init__(self, reactor: Any) -> None:
        self.zone = Zone()
        self._reactor = reactor
        self._factory = Factory(clients=[self.zone])
        for _ in range(50):
            stream = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
            try:
                udp = reactor.listenUDP(
                    stream.getHost().port, dns.DNSDatagramProtocol(self._factory), interface="127.0.0.1"
                )
            except CannotListenError:
                stream.stopListening()
                continue
            break
        self._ports = [stream, udp]
        self.address: tuple[str, int] = ("127.0.0.1", stream.getHost().port)

    def close(self) -> None:
        for port in self._ports:
            port.stopListening()
