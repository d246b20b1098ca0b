"""
What ends leaves nothing that waits for the garbage collector: connections, requests and tunnels, however they end.

Memory would grow until that comes, with large objects of which it knows nothing, such as buffers and those of OpenSSL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hyperframe.frame import GoAwayFrame, PingFrame

from apigw.policy.websocket import close_frame
from tests.authority import Authority
from tests.wire import collector
from tests.wire.frames import Http2Wire
from tests.wire.gateway import Gateway
from tests.wire.sockets import Cut, Service, Wire, connect

INI = """\
[gateway]
access_log = off
{patience}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
http2 = yes
certificates = gw.pem
{handshake}
[http2]
pings = 1/m burst 5
[limits]
ip = off
[jwt]
secret_env = SECRET
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
{first_byte}
[service:again]
urls = http://127.0.0.1:{port}
retry.attempts = 2
retry.budget = 100%
retry.backoff = 1ms..2ms
breaker.volume = 1000000
[service:dead]
urls = http://127.0.0.1:1
retry.attempts = 2
retry.budget = 100%
retry.backoff = 1ms..2ms
breaker.volume = 1000000
[route:users]
path = /users
service = user
[route:again]
path = /again
service = again
[route:dead]
path = /dead
service = dead
[route:kept]
path = /kept
service = user
cache = 1s
compression = public
[route:closed]
path = /closed
service = user
auth = required
[route:scarce]
path = /scarce
service = dead
limit.ip = 1/h
[route:talk]
path = /talk
service = user
upgrade = websocket
"""

HASTY = {
    "patience": "header_timeout = 200ms\nbody_idle_timeout = 200ms",
    "handshake": "handshake_timeout = 200ms",
    "first_byte": "timeout.first_byte = 200ms",
}

TIMES = 3
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
"""So that the next request comes on a connection of its own."""
KEPT = OK.replace(b"Connection: close\r\n", b"")
CHUNKED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = CHUNKED % b"text/event-stream" + b"6\r\ndata:\n\r\n"
BLOCK = b"1000\r\n%b\r\n" % (b"x" * 4096)
UPGRADE = (
    b"GET /talk HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Scene:
    """
    A gateway whose garbage collector sleeps, and its service.

    :ivar service: has no connections at the beginning.
    """

    def __init__(self, gateway: Gateway, service: Service) -> None:
        self._gateway = gateway
        self.service = service

    def plain(self) -> Wire:
        return connect(self._gateway.ports["public"])

    def secure(self, protocol: str = "http/1.1") -> Wire:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        raw = socket.create_connection(("127.0.0.1", self._gateway.ports["secure"]), 5.0)
        return Wire(context.wrap_socket(raw))

    def raw(self) -> Wire:
        """To the listener for TLS, but without it."""
        return connect(self._gateway.ports["secure"])

    def answer(self, data: bytes = OK) -> Wire:
        """The next request gets this. :return: its connection."""
        wire = self.service.accept()
        wire.request()
        wire.send(data)
        return wire

    def settle(self) -> None:
        """
        Wait until the gateway has seen all that has been sent, for what is sent here comes after it, and end its
        connections to the service.
        """
        status = 0
        while status != 404:  # or this was too slow for it
            wire = self.plain()
            with contextlib.suppress(Cut, OSError):
                wire.send(get(b"/nothing", b"Connection: close\r\n"))
                status = wire.answer().status
                wire.gone()
            wire.close()
        self.service.settle()

    def reload(self) -> None:
        """Returns when it is done."""
        output = self._gateway.output
        before = len(output)
        self._gateway.signal(signal.SIGHUP)
        self._gateway.wait(lambda: any("reloaded in" in line for line in output[before:]))

    def left(self) -> Counter[str]:
        """What is left to the collector, by type."""
        self.settle()
        output = self._gateway.output
        before = len(output)
        self._gateway.signal(signal.SIGWINCH)
        self._gateway.wait(lambda: any(line.startswith(collector.SIGN) for line in output[before:]))
        [line] = [line for line in output[before:] if line.startswith(collector.SIGN)]
        return Counter(json.loads(line.removeprefix(collector.SIGN)))


def begun(directory: Path, **hasty: str) -> Iterator[Scene]:
    (directory / "gw.pem").write_bytes(Authority("root").issue("gw"))
    service = Service()
    program = (sys.executable, Path(collector.__file__))
    ini = INI.format_map(dict.fromkeys(HASTY, "") | {"port": str(service.port)} | hasty)
    with Gateway(directory, ini, listeners=2, program=program, environ={"SECRET": "s" * 32}) as gateway:
        yield Scene(gateway, service)
    service.close()


@pytest.fixture(scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    yield from begun(tmp_path_factory.mktemp("garbage"))


@pytest.fixture(scope="module")
def _hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    yield from begun(tmp_path_factory.mktemp("hasty"), **HASTY)


@pytest.fixture
def scene(_scene: Scene) -> Iterator[Scene]:
    """It waits for long."""
    yield _scene
    _scene.settle()


@pytest.fixture
def hasty(_hasty: Scene) -> Iterator[Scene]:
    """It waits for nobody, and so no test may rely on being in time."""
    yield _hasty
    _hasty.settle()


def get(path: bytes = b"/users", more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: h\r\n%b\r\n" % (path, more)


def post(path: bytes = b"/users", size: int = 10) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (path, size)


# -- HTTP/1.1 ----------------------------------------------------------------------------------------------------------


def answered(scene: Scene, wire: Wire) -> None:
    wire.send(get())
    scene.answer()
    wire.answer()


def ends(scene: Scene) -> None:
    wire = scene.plain()
    answered(scene, wire)
    wire.close()


def ends_secure(scene: Scene) -> None:
    wire = scene.secure()
    answered(scene, wire)
    wire.close()


def farewell(scene: Scene) -> None:
    wire = scene.secure()
    answered(scene, wire)
    assert isinstance(wire.socket, ssl.SSLSocket)
    wire.socket.unwrap().close()


def last(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(get(more=b"Connection: close\r\n"))
        scene.answer()
        wire.answer()
        wire.gone()
        wire.close()


def resets(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        answered(scene, wire)
        wire.reset()


def leaves(scene: Scene) -> None:
    """Before the answer."""
    for path in (b"/users", b"/kept"):
        for wire in (scene.plain(), scene.secure()):
            wire.send(get(path))
            service = scene.service.accept()
            service.request()
            wire.reset()
            service.gone()


def shuts(scene: Scene) -> None:
    """Sends no more, but waits for the answer."""
    wire = scene.plain()
    wire.send(get())
    wire.finish()
    scene.answer()
    while (status := wire.answer().status) == 100:
        pass
    assert status == 200
    wire.close()


def pipelines(scene: Scene) -> None:
    """More than is begun in a turn, and leaves."""
    wire = scene.plain()
    wire.send(get(b"/nothing") * 100)
    wire.answer()
    wire.reset()


def leaves_at_once(scene: Scene) -> None:
    """While the gateway connects to the service, as often as not."""
    wire = scene.plain()
    wire.send(get())
    wire.reset()


def leaves_amid_answer(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(get())
        service = scene.answer(CHUNKED % b"text/plain" + b"2\r\nok\r\n")
        wire.until(b"ok")
        wire.reset()
        service.gone()


def leaves_amid_compression(scene: Scene) -> None:
    wire = scene.plain()
    wire.send(get(b"/kept/%b" % os.urandom(4).hex().encode(), b"Accept-Encoding: gzip\r\n"))
    service = scene.answer(CHUNKED % b"text/plain" + BLOCK)
    wire.head()
    wire.reset()
    service.send(b"0\r\n\r\n")  # for the cache


def streamed(scene: Scene) -> None:
    for kind in (b"/users", b"/kept"):
        for wire in (scene.plain(), scene.secure()):
            path = b"%b/%b" % (kind, os.urandom(4).hex().encode())
            wire.send(get(path, b"Accept-Encoding: gzip\r\n"))
            service = scene.answer(CHUNKED % b"text/plain" + BLOCK)
            wire.head()
            service.send(b"0\r\n\r\n")
            wire.until(b"0\r\n\r\n")
            wire.close()


def cut(scene: Scene) -> None:
    wire = scene.plain()
    wire.send(get())
    service = scene.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    wire.until(b"ok")
    service.reset()
    wire.gone()
    wire.close()


def slow_head(scene: Scene) -> None:
    for opened in (scene.plain, scene.secure):
        with contextlib.suppress(OSError):
            wire = opened()
            wire.send(b"GET / HTTP/1.1\r\n")
            wire.gone()
            wire.close()


def slow_body(scene: Scene) -> None:
    wire = scene.plain()
    with contextlib.suppress(OSError):
        wire.send(post() + b"12345")
    wire.gone()
    wire.close()


def never_begins(scene: Scene) -> None:
    scene.plain().gone()


def uploads(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(post() + b"12345")
        service = scene.service.accept()
        service.until(b"12345")
        wire.send(b"67890")
        service.until(b"67890")
        service.send(OK)
        assert wire.answer().status == 200
        wire.close()


def breaks_off(scene: Scene) -> None:
    """An upload."""
    for path in (b"/users", b"/again", b"/kept"):
        for wire in (scene.plain(), scene.secure()):
            wire.send(post(path) + b"12345")
            service = scene.service.accept()
            service.until(b"12345")
            wire.reset()
            service.gone()


def garbage(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(b"\0\1\2\r\n\r\n")
        assert wire.answer().status == 400
        wire.close()


def garbage_for_a_size(scene: Scene) -> None:
    wire = scene.plain()
    wire.send(b"POST /users HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert wire.answer().status == 400
    wire.close()


def refused(scene: Scene) -> None:
    """By the gateway, for one reason or another."""
    wire = scene.plain()
    for path, more, statuses in (
        (b"/nothing", b"", (404,)),
        (b"/closed", b"", (401,)),
        (b"/closed", b"Authorization: Bearer a.b.c\r\n", (401,)),
        (b"/dead", b"", (502,)),
    ):
        wire.send(get(path, more))
        assert wire.answer().status in statuses
    wire.close()


def spent(scene: Scene) -> None:
    wire = scene.plain()
    for _ in range(2):
        wire.send(get(b"/scarce"))
        assert wire.answer().status in (429, 502)
    wire.close()


# -- services ----------------------------------------------------------------------------------------------------------


def service_resets(scene: Scene) -> None:
    wire = scene.plain()
    for path, times in ((b"/users", 1), (b"/again", 2)):
        wire.send(get(path))
        for _ in range(times):
            service = scene.service.accept()
            service.request()
            service.reset()
        assert wire.answer().status == 502
    wire.close()


def service_fails_at_first(scene: Scene) -> None:
    wire = scene.plain()
    for first in (b"", b"HTTP/1.1 503 Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"):
        wire.send(get(b"/again"))
        service = scene.service.accept()
        service.request()
        service.send(first)
        service.close()
        scene.answer().close()
        assert wire.answer().status == 200
    wire.close()


def service_sleeps(scene: Scene) -> None:
    wire = scene.plain()
    with contextlib.suppress(Cut, OSError):
        wire.send(get())
        wire.answer()
    wire.close()


def service_talks_nonsense(scene: Scene) -> None:
    wire = scene.plain()
    wire.send(get())
    scene.answer(b"nonsense\r\n\r\n").gone()
    assert wire.answer().status == 502
    wire.close()


def service_ends(scene: Scene) -> None:
    """A connection that was used twice."""
    wire = scene.plain()
    wire.send(get())
    service = scene.answer(KEPT)
    wire.answer()
    wire.send(get())
    service.request()
    service.send(KEPT)
    wire.answer()
    service.close()
    wire.close()


def answers_early(scene: Scene) -> None:
    """Before it has the whole request."""
    wire = scene.plain()
    wire.send(post() + b"12345")
    service = scene.service.accept()
    service.until(b"12345")
    service.send(OK)
    assert wire.answer().status == 200
    wire.gone()
    wire.close()


# -- what goes on ------------------------------------------------------------------------------------------------------


def events(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(get())
        service = scene.answer(EVENTS)
        wire.until(b"data:")
        service.send(b"0\r\n\r\n")
        wire.until(b"0\r\n\r\n")
        wire.close()


def events_left_early(scene: Scene) -> None:
    for wire in (scene.plain(), scene.secure()):
        wire.send(get())
        service = scene.answer(EVENTS)
        wire.until(b"data:")
        wire.reset()
        service.gone()


def tunnel(scene: Scene) -> tuple[Wire, Wire]:
    wire = scene.plain()
    wire.send(UPGRADE)
    service = scene.answer(SWITCHED)
    wire.until(b"\r\n\r\n")
    return wire, service


def talk(scene: Scene) -> None:
    wire, service = tunnel(scene)
    bye = close_frame(1000, "", b"1234")
    wire.send(bye)
    service.exactly(len(bye))
    service.send(close_frame(1000, ""))
    service.close()
    wire.gone()
    wire.close()


def talk_ended_by_client(scene: Scene) -> None:
    wire, service = tunnel(scene)
    wire.close()
    service.gone()


def talk_reset_by_client(scene: Scene) -> None:
    wire, service = tunnel(scene)
    wire.reset()
    service.gone()


def talk_reset_by_service(scene: Scene) -> None:
    wire, service = tunnel(scene)
    service.reset()
    wire.gone()
    wire.close()


def talk_refused(scene: Scene) -> None:
    wire = scene.plain()
    wire.send(UPGRADE)
    scene.answer(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert wire.answer().status == 403
    wire.gone()
    wire.close()


# -- TLS ---------------------------------------------------------------------------------------------------------------


def no_handshake(scene: Scene) -> None:
    wire = scene.raw()
    wire.send(b"GET / HTTP/1.1\r\n\r\n")
    wire.gone()
    wire.close()


def late_handshake(scene: Scene) -> None:
    scene.raw().gone()


def broken_handshake(scene: Scene) -> None:
    wire = scene.raw()
    wire.send(b"\x16\x03\x01")
    wire.reset()


# -- HTTP/2 ------------------------------------------------------------------------------------------------------------


def both(scene: Scene) -> Iterator[Http2Wire]:
    yield Http2Wire(scene.plain())
    yield Http2Wire(scene.secure("h2"))


def h2_ends(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users")
        scene.answer()
        assert wire.answer(number).body == b"ok"
        wire.close()


def h2_resets_a_stream(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users")
        service = scene.service.accept()
        service.request()
        wire.reset(number)
        service.gone()
        number = wire.ask(b"/users")
        service = scene.answer(CHUNKED % b"text/plain" + b"2\r\nok\r\n")
        while not wire.answers[number].body:
            wire.read()
        wire.reset(number)
        service.gone()
        wire.close()


def h2_resets_at_once(scene: Scene) -> None:
    for wire in both(scene):
        for path in (b"/users", b"/nothing", b"/dead"):
            wire.reset(wire.ask(path))
        wire.settle()
        wire.close()


def h2_leaves(scene: Scene) -> None:
    for wire in both(scene):
        wire.ask(b"/users", method=b"POST", body=b"")
        wire.ask(b"/users")
        services = [scene.service.accept(), scene.service.accept()]
        wire.wire.reset()
        for service in services:
            service.gone()


def h2_uploads(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users", method=b"POST", body=b"12345")
        service = scene.service.accept()
        service.until(b"12345")
        service.send(OK)
        assert wire.answer(number).status == 200
        wire.close()


def h2_breaks_off(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users", method=b"POST", body=b"")
        wire.body(number, b"12345")
        service = scene.service.accept()
        service.until(b"12345")
        wire.reset(number)
        service.gone()
        wire.close()


def h2_refused(scene: Scene) -> None:
    for wire in both(scene):
        for path, status in ((b"/nothing", 404), (b"/closed", 401), (b"/dead", 502)):
            assert wire.answer(wire.ask(path)).status == status
        wire.close()


def h2_many(scene: Scene) -> None:
    """More than are begun in a turn, all of them reset; then it leaves."""
    for wire in both(scene):
        for number in [wire.ask(b"/nothing") for _ in range(40)]:
            wire.reset(number)
        wire.settle()
        wire.wire.reset()


def h2_goes_away(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users")
        wire.send(GoAwayFrame(0, last_stream_id=0))
        scene.answer()
        assert wire.answer(number).body == b"ok"
        wire.close()


def h2_abuse(scene: Scene) -> None:
    for wire in both(scene):
        wire.send(*[PingFrame(0, opaque_data=b"12345678")] * 20)
        assert wire.goodbye() == "pings"
        wire.close()


def h2_nonsense(scene: Scene) -> None:
    for wire in both(scene):
        wire.wire.send(bytes(9))
        wire.goodbye()
        wire.close()


def h2_events(scene: Scene) -> None:
    for wire in both(scene):
        number = wire.ask(b"/users")
        service = scene.answer(EVENTS)
        while not wire.answers[number].body:
            wire.read()
        service.send(b"0\r\n\r\n")
        wire.answer(number)
        wire.close()


def h2_slow_upload(scene: Scene) -> None:
    with contextlib.suppress(Cut, OSError):
        for wire in both(scene):
            number = wire.ask(b"/users", method=b"POST", body=b"")
            wire.answer(number)
            wire.close()


def reloads(scene: Scene) -> None:
    """With the listener for TLS in use before and after."""
    for wire in (scene.secure(), scene.secure("h2")):
        wire.close()
    scene.reload()


KINDS = (
    ends,
    ends_secure,
    farewell,
    last,
    resets,
    leaves,
    shuts,
    pipelines,
    leaves_at_once,
    leaves_amid_answer,
    leaves_amid_compression,
    streamed,
    cut,
    uploads,
    breaks_off,
    garbage,
    garbage_for_a_size,
    refused,
    spent,
    service_resets,
    service_fails_at_first,
    service_talks_nonsense,
    service_ends,
    answers_early,
    events,
    events_left_early,
    talk,
    talk_ended_by_client,
    talk_reset_by_client,
    talk_reset_by_service,
    talk_refused,
    no_handshake,
    broken_handshake,
    h2_ends,
    h2_resets_a_stream,
    h2_resets_at_once,
    h2_leaves,
    h2_uploads,
    h2_breaks_off,
    h2_refused,
    h2_many,
    h2_goes_away,
    h2_abuse,
    h2_nonsense,
    h2_events,
    reloads,
)


SLOW = (slow_head, slow_body, never_begins, service_sleeps, late_handshake, h2_slow_upload)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_is_left_to_the_collector(scene: Scene, kind: Callable[[Scene], None]) -> None:
    leaves_nothing(scene, kind)


@pytest.mark.parametrize("kind", SLOW, ids=lambda kind: kind.__name__)
def test_who_is_too_slow_leaves_nothing_to_the_collector(hasty: Scene, kind: Callable[[Scene], None]) -> None:
    leaves_nothing(hasty, kind)


def leaves_nothing(scene: Scene, kind: Callable[[Scene], None]) -> None:
    kind(scene)
    scene.settle()
    scene.left()  # what is made once and kept is there by now
    for _ in range(TIMES):
        kind(scene)
        scene.settle()
    left = scene.left()
    assert not left, str(left)
