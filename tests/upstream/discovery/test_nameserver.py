"""Questions to real name servers on loopback: the next one is asked, TCP is used, and forgeries are not believed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.names import dns

from apigw.upstream.discovery.nameserver import ask
from apigw.upstream.discovery.resolv_conf import ResolverSettings
from apigw.upstream.discovery.source import SourceFailed
from tests.upstream.discovery.name_server import NameServer


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer(reactor)
    yield server
    server.close()


class Answering(DatagramProtocol):
    """:param answer: what comes back, any number of datagrams."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.answer = answer
        self.asked = 0

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        for datagram in self.answer(data):
            self.transport.write(datagram, addr)


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[bytes], list[bytes]]], tuple[Answering, tuple[str, int]]]]:
    ports = []

    def listen(answer: Callable[[bytes], list[bytes]]) -> tuple[Answering, tuple[str, int]]:
        protocol = Answering(answer)
        port = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        ports.append(port)
        return protocol, ("127.0.0.1", port.getHost().port)

    yield listen
    for port in ports:
        port.stopListening()


def settings(*servers: tuple[str, int], timeout: float = 5.0, attempts: int = 1) -> ResolverSettings:
    return ResolverSettings(servers=servers, timeout=timeout, attempts=attempts)


def addresses(records: Any) -> list[str]:
    return [record.payload.dottedQuad() for record in records.answers]


@pytest_twisted.ensureDeferred
async def test_an_answer(server):
    server.zone.a("user.example", "10.0.0.1", "10.0.0.2", ttl=17)
    records = await ask(reactor, settings(server.address), "user.example", dns.A)
    assert records.exists
    assert sorted(addresses(records)) == ["10.0.0.1", "10.0.0.2"]
    assert {record.ttl for record in records.answers} == {17}


@pytest_twisted.ensureDeferred
async def test_no_such_name_and_no_such_record_are_answers(server):
    server.zone.a("user.example", "10.0.0.1")
    assert not (await ask(reactor, settings(server.address), "other.example", dns.A)).exists
    nothing = await ask(reactor, settings(server.address), "user.example", dns.AAAA)
    assert nothing.exists
    assert nothing.answers == []


@pytest_twisted.ensureDeferred
async def test_what_does_not_fit_in_a_datagram_comes_by_tcp(server):
    many = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(400)]
    server.zone.a("user.example", *many)
    records = await ask(reactor, settings(server.address), "user.example", dns.A)
    assert sorted(addresses(records)) == sorted(many)
    assert server.zone.asked["user.example", dns.A] == 2


@pytest_twisted.ensureDeferred
async def test_the_next_server_is_asked_where_nobody_listens_or_one_has_trouble(server, answering):
    _, gone = answering(lambda _: [])
    bad = NameServer(reactor)
    try:
        bad.zone.failing.add("user.example")
        server.zone.a("user.example", "10.0.0.1")
        refused = ("127.0.0.1", await _unused())
        records = await ask(reactor, settings(refused, bad.address, server.address), "user.example", dns.A)
        assert addresses(records) == ["10.0.0.1"]
        records = await ask(reactor, settings(gone, server.address, timeout=0.01), "user.example", dns.A)
        assert addresses(records) == ["10.0.0.1"]
    finally:
        bad.close()


@pytest_twisted.ensureDeferred
async def test_when_none_knows_all_reasons_are_told(server, answering):
    silent, gone = answering(lambda _: [])
    server.zone.failing.add("user.example")
    with pytest.raises(SourceFailed) as caught:
        where = settings(gone, server.address, ("127.0.0.1", await _unused()), timeout=0.02, attempts=2)
        await ask(reactor, where, "user.example", dns.A)
    assert silent.asked == 2
    assert "no answer in time" in str(caught.value)
    assert "SERVFAIL" in str(caught.value)
    assert "nobody listens" in str(caught.value)


async def _unused() -> int:
    port = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    return number


def _reply(question: bytes, address: str, *, id: int | None = None, name: bytes = b"", answer: int = 1) -> bytes:
    asked = dns.Message()
    asked.fromStr(question)
    reply = dns.Message(asked.id if id is None else id, answer=answer)
    reply.queries = [dns.Query(name or asked.queries[0].name.name, dns.A)]
    reply.answers = [dns.RRHeader(name or asked.queries[0].name.name, dns.A, payload=dns.Record_A(address))]
    return reply.toStr()


@pytest_twisted.ensureDeferred
async def test_forged_and_malformed_answers_are_not_believed(answering):
    def answers(question: bytes) -> list[bytes]:
        id = struct.unpack("!H", question[:2])[0]
        return [
            b"",
            b"\x00",
            question[:2] + b"\x81\x80" + b"\xff" * 30,
            _reply(question, "6.6.6.1", id=(id + 1) % 65536),
            _reply(question, "6.6.6.2", name=b"evil.example"),
            _reply(question, "6.6.6.3", answer=0),
            _reply(question, "10.0.0.1"),
            _reply(question, "10.0.0.2"),
        ]

    _, where = answering(answers)
    records = await ask(reactor, settings(where), "user.example", dns.A)
    assert addresses(records) == ["10.0.0.1"]


@pytest_twisted.ensureDeferred
async def test_another_socket_can_not_answer(answering):
    stranger = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
    client: list[Any] = []

    def answers(question: bytes) -> list[bytes]:
        stranger.protocol.transport.write(_reply(question, "6.6.6.6"), client[0])
        return [_reply(question, "10.0.0.1")]

    protocol, where = answering(answers)
    received = protocol.datagramReceived

    def remember(data: bytes, addr: Any) -> None:
        client.append(addr)
        received(data, addr)

    protocol.datagramReceived = remember
    try:
        records = await ask(reactor, settings(where), "user.example", dns.A)
        assert addresses(records) == ["10.0.0.1"]
    finally:
        stranger.stopListening()


class Cut(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_a_connection_that_breaks_is_a_failure():
    stream = reactor.listenTCP(0, Factory.forProtocol(Cut), interface="127.0.0.1")
    number = stream.getHost().port
    truncated = Answering(lambda question: [question[:2] + b"\x83\x80" + question[4:]])
    udp = reactor.listenUDP(number, truncated, interface="127.0.0.1")
    try:
        with pytest.raises(SourceFailed, match="the connection was lost"):
            await ask(reactor, settings(("127.0.0.1", number)), "user.example", dns.A)
    finally:
        stream.stopListening()
        udp.stopListening()


@pytest_twisted.ensureDeferred
async def test_giving_up_leaves_nothing_behind(answering):
    _, where = answering(lambda _: [])
    question = Deferred.fromCoroutine(ask(reactor, settings(where), "user.example", dns.A))
    question.cancel()
    with pytest.raises(CancelledError):
        await question


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".".join(["a" * 60] * 5), "a..b", ""])
@pytest_twisted.ensureDeferred
async def test_a_name_that_no_dns_takes_is_never_asked(server, name):
    with pytest.raises(SourceFailed, match="is no name"):
        await ask(reactor, settings(server.address), name, dns.A)
    assert not server.zone.asked
