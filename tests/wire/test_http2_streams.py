"""What goes on for long over HTTP/2, by the real gateway: events, their codings and their ends, and no WebSocket."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from time import monotonic, time

import brotli
import pytest
from hyperframe.frame import PingFrame, SettingsFrame

from tests.tokens import SECRET, signed
from tests.wire.frames import Http2Wire
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire, connect
from tests.wire.test_streams import EVENTS, chunk

INI = """\
[gateway]
drain_timeout = 1s
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[service:news]
urls = http://127.0.0.1:{port}
[jwt]
algorithms = HS256
secret_env = JWT_SECRET
[route:news]
path = /news
service = news
compression = on
events.heartbeat = 100ms
[route:quiet]
path = /quiet
service = news
[route:mine]
path = /mine
service = news
auth = required
[route:chat]
path = /chat
service = news
upgrade = websocket
"""

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture
def gateway(own_service: Service, directory: Path) -> Iterator[Gateway]:
    environ = {"JWT_SECRET": SECRET.decode()}
    with Gateway(directory, INI.format(port=own_service.port), environ=environ) as gateway:
        yield gateway
        assert gateway.troubles() == []


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[Http2Wire]:
    wire = Http2Wire(connect(gateway.port))
    yield wire
    wire.close()


def decoder(coding: bytes) -> Callable[[bytes], bytes]:
    if coding == b"gzip":
        return zlib.decompressobj(31).decompress
    if coding == b"br":
        return brotli.Decompressor().process  # type: ignore[no-any-return]
    return bytes


def open_stream(wire: Http2Wire, service: Service, path: bytes, *fields: tuple[bytes, bytes]) -> tuple[int, Wire]:
    """:return: the stream, and the service's end of it."""
    number = wire.ask(path, *fields)
    there = service.accept()
    there.request()
    there.send(EVENTS)
    while not wire.answers[number].heads:
        wire.read()
    assert wire.answers[number].status == 200
    return number, there


def taken(wire: Http2Wire, number: int) -> bytes:
    """What has come of a body since the last call; waits for something."""
    answer = wire.answers[number]
    while not answer.body and not answer.ended:
        wire.read()
    data, answer.body = answer.body, b""
    return data


@pytest.mark.parametrize("coding", [b"", b"gzip", b"br"])
def test_each_event_arrives_before_the_next_is_sent(wire: Http2Wire, own_service: Service, coding: bytes) -> None:
    fields = [(b"accept-encoding", coding)] if coding else []
    number, there = open_stream(wire, own_service, b"/news", *fields)
    [head] = wire.answers[number].heads
    assert dict(head).get(b"content-encoding", b"") == coding
    decode = decoder(coding)
    waits = []
    for count in range(20):
        event = b"data: %d\n\n" % count
        begun = monotonic()
        there.send(chunk(event))
        seen = b""
        while seen != event:
            seen += decode(taken(wire, number)).replace(b":\n\n", b"")
            assert event.startswith(seen)
        waits.append(monotonic() - begun)
    # A machine that is busy may hold up some of them.
    assert sorted(waits)[10] < 0.05
    there.send(b"0\r\n\r\n")
    assert wire.answer(number).ended


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_answers_are_compressed(wire: Http2Wire, own_service: Service, coding: bytes) -> None:
    number = wire.ask(b"/news", (b"accept-encoding", coding))
    there = own_service.accept()
    there.request()
    body = json.dumps({"rows": list(range(20_000))}).encode()
    there.send(JSON % (len(body), body))
    answer = wire.answer(number)
    assert answer.one(b"content-encoding") == coding
    assert len(answer.body) < len(body) // 2
    assert decoder(coding)(answer.body) == body


def test_a_silent_stream_has_a_heartbeat_and_a_reset_ends_it_at_the_service(
    wire: Http2Wire, own_service: Service
) -> None:
    number, there = open_stream(wire, own_service, b"/news")
    assert taken(wire, number) == b":\n\n"
    assert taken(wire, number) == b":\n\n"
    wire.reset(number)
    there.gone()


def test_a_stream_ends_with_its_token(wire: Http2Wire, own_service: Service, gateway: Gateway) -> None:
    token = signed({"exp": int(time()) + 2})
    number, there = open_stream(wire, own_service, b"/mine", (b"authorization", b"Bearer " + token))
    assert taken(wire, number).startswith(b"event: token-expired\ndata: {")
    assert wire.answer(number).reset is None
    there.gone()
    gateway.wait(lambda: gateway.logged)
    assert (gateway.logged[0]["status"], gateway.logged[0]["error"]) == (200, "token-expired")


def test_a_drain_ends_events_those_under_way_and_those_that_begin(
    wire: Http2Wire, own_service: Service, gateway: Gateway
) -> None:
    number, there = open_stream(wire, own_service, b"/quiet")
    late = wire.ask(b"/quiet")
    other = own_service.accept()
    other.request()
    begun = monotonic()
    gateway.signal(SIGTERM)
    assert wire.goaway().last_stream_id == 2**31 - 1
    other.send(EVENTS)
    for one in (number, late):
        answer = wire.answer(one)
        assert answer.body.startswith(b"event: shutting-down\n")
        assert (answer.ended, answer.reset) == (True, None)
    there.gone()
    pings = [frame for frame in wire.others if isinstance(frame, PingFrame)]
    wire.send(PingFrame(0, opaque_data=pings[0].opaque_data, flags=["ACK"]))
    assert wire.goaway().last_stream_id == late
    assert wire.wire.ended()
    assert gateway.ends() == 0
    assert monotonic() - begun < 0.9


def test_a_drain_cuts_at_its_deadline_what_does_not_end(
    wire: Http2Wire, own_service: Service, gateway: Gateway
) -> None:
    number = wire.ask(b"/quiet")
    there = own_service.accept()
    there.request()
    there.send(EVENTS.replace(b"event-stream", b"plain"))
    while not wire.answers[number].heads:
        wire.read()
    begun = monotonic()
    gateway.signal(SIGTERM)
    assert wire.goaway().last_stream_id == 2**31 - 1
    there.send(chunk(b"on and on"))
    assert taken(wire, number) == b"on and on"
    wire.wire.gone()
    assert gateway.ends() == 0
    assert 0.9 < monotonic() - begun < 5.0


def test_websocket_is_declined_and_not_offered(wire: Http2Wire, own_service: Service) -> None:
    frame = wire.head(
        [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"http"),
            (b":authority", b"gw"),
            (b":path", b"/chat"),
            (b"sec-websocket-version", b"13"),
        ],
        False,
    )
    wire.send(frame)
    answer = wire.answer(frame.stream_id)
    assert (answer.status, json.loads(answer.body)["code"]) == (501, "extended-connect")
    wire.settle()
    assert answer.reset == 0
    [settings] = [one for one in wire.others if isinstance(one, SettingsFrame) and "ACK" not in one.flags]
    assert not settings.settings.get(SettingsFrame.ENABLE_CONNECT_PROTOCOL)
    number = wire.ask(b"/chat")
    there = own_service.accept()
    assert not there.request().all(b"upgrade")
    there.send(JSON % (2, b"{}"))
    assert wire.answer(number).body == b"{}"
