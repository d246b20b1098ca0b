"""What HTTP/2 lets a client do that costs more than it: each ends at a bound, and others are served meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.wire.frames import PREFACE, Http2Wire, pseudo
from tests.wire.gateway import Gateway
from tests.wire.sockets import Service, Wire, connect

INI = """\
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[http2]
max_streams = 10
resets = 1/m burst 20
pings = 1/m burst 5
settings = 1/m burst 5
idle_frames = 1/m burst 50
max_continuations = 4
[gateway]
max_header_size = 4KiB
header_timeout = 500ms
write_idle_timeout = 500ms
keepalive_timeout = 1s
body_idle_timeout = 500ms
access_log = -
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
max_connections = 1000
[route:users]
path = /
service = user
max_body = 0
"""

CALM = 11
MANY = 100

Open = Callable[..., Http2Wire]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("abuse"), INI.format(port=service.port)) as gateway:
        yield gateway


@pytest.fixture
def opened(gateway: Gateway, service: Service) -> Iterator[Open]:
    """Makes connections. The log stays clean, and the gateway serves others as before."""
    wires: list[Http2Wire] = []
    before = len(gateway.output)

    def make(window: int = 2**31 - 1, quiet: bool = False, **options: int) -> Http2Wire:
        wires.append(Http2Wire(connect(gateway.port, **options), window, quiet))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
    service.settle()
    wire = make()
    number = wire.ask(b"/still")
    answered(service)
    assert wire.answer(number).body == b"ok"
    wire.close()
    service.settle()
    assert gateway.output[before:] == []


def answered(service: Service) -> Wire:
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return peer


def flood(wire: Http2Wire, frame: Frame, times: int = MANY) -> str:
    """:return: the reason that was given for the end."""
    wire.wire.send(frame.serialize() * times)
    reason = wire.goodbye()
    assert wire.goaways[-1].error_code == CALM
    return reason


def test_frames_that_cost_nothing_to_send(opened: Open) -> None:
    for frame, reason in (
        (PingFrame(0, opaque_data=b"12345678"), "pings"),
        (SettingsFrame(0), "settings"),
        (SettingsFrame(0, flags=["ACK"]), "settings"),
        (PriorityFrame(1, depends_on=3), "idle-frames"),
        (WindowUpdateFrame(0, window_increment=1), "idle-frames"),
        (ExtensionFrame(0x77, 0, body=b""), "idle-frames"),
    ):
        assert flood(opened(window=0), frame) == reason


def test_data_without_data(opened: Open, service: Service) -> None:
    for frame in (DataFrame(1, b""), DataFrame(1, b"", pad_length=8, flags=["PADDED"])):
        wire = opened()
        wire.ask(b"/a", method=b"POST", body=b"")
        service.accept()
        assert flood(wire, frame) == "idle-frames"


def test_data_by_the_byte(opened: Open, service: Service) -> None:
    wire = opened()
    wire.ask(b"/a", method=b"POST", body=b"")
    service.accept()
    assert flood(wire, DataFrame(1, b"a"), 600) == "idle-frames"


def test_rapid_reset(opened: Open, service: Service, gateway: Gateway) -> None:
    """CVE-2023-44487: requests that are given up at once, so that never many are under way."""
    wire = opened()
    frames = []
    for _ in range(MANY):
        frame = wire.head(pseudo(b"/rapid"))
        frames += [frame, RstStreamFrame(frame.stream_id, error_code=8)]
    wire.send(*frames)
    assert wire.goodbye() == "resets"
    assert wire.goaways[-1].error_code == CALM
    began = [line for line in gateway.logged if line["path"] == "/rapid"]
    assert len(began) <= 21
    assert {line["error"] for line in began} <= {"client-disconnected"}


def test_resets_that_the_gateway_is_made_to_send(opened: Open) -> None:
    """CVE-2025-8671: frames that are valid, but not for their streams."""
    for mistake in (
        lambda number: WindowUpdateFrame(number, window_increment=2**31 - 1),
        lambda number: DataFrame(number, b"after the end"),
    ):
        wire = opened(65535)
        frames: list[Frame] = []
        for _ in range(30):
            frame = wire.head(pseudo(b"/made"))
            frames += [frame, mistake(frame.stream_id)]
        wire.send(*frames)
        assert wire.goodbye() == "resets"
        assert wire.goaways[-1].error_code == CALM


def test_malformed_requests_without_end(opened: Open) -> None:
    wire = opened()
    frames = [wire.head([*pseudo(), (b"connection", b"close")]) for _ in range(40)]
    wire.send(*frames)
    assert wire.goodbye() == "resets"


def test_one_stream_too_many_is_refused_alone(opened: Open, service: Service) -> None:
    wire = opened()
    numbers = [wire.ask(b"/%d" % count) for count in range(11)]
    assert wire.answer(numbers[-1]).reset == 7
    for _ in range(10):
        answered(service)
    assert [wire.answer(number).body for number in numbers[:10]] == [b"ok"] * 10


def test_continuation_flood(opened: Open) -> None:
    wire = opened()
    head = wire.head(pseudo())
    head.flags.discard("END_HEADERS")
    wire.send(head, *(ContinuationFrame(1, b"") for _ in range(MANY)))
    assert wire.goodbye() == "continuations"


def test_a_head_in_large_pieces(opened: Open) -> None:
    wire = opened()
    head = wire.head(pseudo())
    head.flags.discard("END_HEADERS")
    wire.send(head, *(ContinuationFrame(1, bytes(4000)) for _ in range(3)))
    assert wire.goodbye() == "header-size"


def test_a_head_that_is_large_once_it_is_decoded(opened: Open) -> None:
    """A field of 4 KB in the table, and then only its number, a byte each."""
    wire = opened()
    fields = [*pseudo(), *([(b"x-bomb", b"b" * 3800)] * 1000)]
    head = wire.head(fields)
    assert len(head.data) < 8000
    wire.send(head)
    assert wire.goodbye() == ""
    assert wire.goaways[-1].error_code == CALM


def test_a_head_that_is_somewhat_too_large_is_answered(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", (b"x-large", b"a" * 4096))
    assert wire.answer(number).status == 431
    number = wire.ask(b"/a", *[(b"x-%d" % count, b"") for count in range(101)])
    assert wire.answer(number).status == 431
    number = wire.ask(b"/a")
    answered(service)
    assert wire.answer(number).status == 200


def test_a_head_that_never_ends(opened: Open) -> None:
    for start in (b"", PREFACE[:10], PREFACE + SettingsFrame(0).serialize()[:5]):
        wire = opened(quiet=True)
        wire.wire.send(start)
        wire.wire.gone()
    wire = opened()
    head = wire.head(pseudo())
    head.flags.discard("END_HEADERS")
    wire.send(head)
    assert wire.goodbye() == "slow-head"


def test_a_window_of_zero(opened: Open, service: Service, gateway: Gateway) -> None:
    wire = opened(0)
    number = wire.ask(b"/zero")
    peer = answered(service)
    begun = monotonic()
    assert wire.answer(number).reset == 8
    assert monotonic() - begun > 0.4
    assert gateway.line(wire.answers[number].one(b"x-request-id").decode())["error"] == "client-disconnected"
    peer.close()


def test_a_window_that_opens_by_a_byte_at_a_time(opened: Open, service: Service) -> None:
    """The rate of what is taken counts, not that something is."""
    wire = opened(0)
    number = wire.ask(b"/byte")
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + bytes(10000))
    answer = wire.answers[number]
    for _ in range(40):
        if answer.reset is None:
            wire.send(WindowUpdateFrame(number, window_increment=1))
            wire.read()
            peer.socket.settimeout(0.05)
            try:
                peer.some()
            except TimeoutError:
                pass
    assert wire.answer(number).reset == 8
    assert len(answer.body) < 100


def test_a_client_that_does_not_read(opened: Open, service: Service) -> None:
    wire = opened(receive_buffer=4096)
    wire.ask(b"/slow")
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    with pytest.raises(OSError):
        while True:
            peer.send(bytes(65536))


def test_a_body_that_does_not_come(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", method=b"POST", body=b"")
    wire.body(number, b"some")
    service.accept().head()
    answer = wire.answer(number)
    assert (answer.status, wire.goaways) == (408, [])


def test_a_frame_that_is_too_large_is_not_waited_for(opened: Open) -> None:
    wire = opened()
    wire.wire.send((2**24 - 1).to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big"))
    assert wire.goodbye() == "frame-size"
    assert wire.goaways[-1].error_code == 6


def test_a_connection_without_requests_is_closed(opened: Open) -> None:
    wire = opened()
    assert wire.goodbye() == ""
    assert wire.goaways[-1].error_code == 0


def test_a_table_as_large_as_a_client_likes(opened: Open, service: Service, gateway: Gateway) -> None:
    """Nothing is kept for a client, whatever that offers."""
    wire = opened()
    wire.send(SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 2**31 - 1}))
    number = wire.ask(b"/a")
    answered(service)
    assert wire.answer(number).status == 200
    assert wire.table == 0


def test_headers_on_a_stream_that_depends_on_itself(opened: Open) -> None:
    wire = opened()
    wire.send(HeadersFrame(1, wire.encoder.encode(pseudo()), depends_on=1, flags=["PRIORITY", "END_HEADERS"]))
    wire.goodbye()
    assert wire.goaways[-1].error_code == 1
