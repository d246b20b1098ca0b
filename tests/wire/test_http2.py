"""HTTP/2 by the real gateway, with clients that others have made and with frames by hand."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
from hyperframe.frame import GoAwayFrame, PingFrame, SettingsFrame, WindowUpdateFrame

from tests.authority import Authority, write
from tests.wire.frames import Http2Wire, pseudo
from tests.wire.gateway import BOUND, Gateway
from tests.wire.sockets import Service, Wire, connect

INI = """\
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
http2 = yes
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = a.pem
[listener:older]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = a.pem
http2 = no
[host:partner.test]
client_auth = required
client_ca = root.pem
[admin]
endpoint = tcp:0:interface=127.0.0.1
[gateway]
max_body = 10MiB
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
breaker.volume = 1000000
[route:users]
path = /
service = user
[route:small]
path = /small
service = user
max_body = 10
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def gateway(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("http2")
    root = Authority("root")
    write(directory / "root.pem", root.pem)
    write(directory / "a.pem", root.issue("a.test", "localhost"))
    with Gateway(directory, INI.format(port=service.port), listeners=4) as gateway:
        yield gateway


Open = Callable[..., Http2Wire]


@pytest.fixture
def opened(gateway: Gateway, service: Service) -> Iterator[Open]:
    """Makes connections; the log must stay clean."""
    wires: list[Http2Wire] = []
    before = len(gateway.output)

    def make(window: int = 2**31 - 1) -> Http2Wire:
        wires.append(Http2Wire(connect(gateway.ports["plain"]), window))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
    service.settle()
    assert gateway.output[before:] == []


@pytest.fixture
def secured(gateway: Gateway, service: Service) -> Iterator[Open]:
    """As ``opened``, over TLS."""
    context = ssl.create_default_context(cafile=str(gateway.directory / "root.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    wires: list[Http2Wire] = []
    before = len(gateway.output)

    def make(window: int = 2**31 - 1, **options: int) -> Http2Wire:
        plain = connect(gateway.ports["secure"], **options).socket
        sock = context.wrap_socket(plain, server_hostname="a.test", suppress_ragged_eofs=False)
        wires.append(Http2Wire(Wire(sock), window))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
    service.settle()
    assert gateway.output[before:] == []


def serve(service: Service, *answers: bytes) -> Thread:
    """One connection after the other, for a client that blocks."""

    def run() -> None:
        for answer in answers:
            peer = service.accept()
            peer.request()
            peer.send(answer)

    thread = Thread(target=run)
    thread.start()
    return thread


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


# -- clients of others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "options", "version"),
    [
        ("secure", ["--http2"], "2"),
        ("secure", ["--http1.1"], "1.1"),
        ("older", ["--http2"], "1.1"),
        ("plain", ["--http2-prior-knowledge"], "2"),
        ("plain", ["--http1.1"], "1.1"),
    ],
)
def test_curl(gateway: Gateway, service: Service, listener: str, options: list[str], version: str) -> None:
    thread = serve(service, OK)
    port = gateway.ports[listener]
    scheme = "http" if listener == "plain" else "https"
    curl = shutil.which("curl")
    assert curl is not None, "install curl"
    options = [*options, "--cacert", f"{gateway.directory}/root.pem", "--resolve", f"a.test:{port}:127.0.0.1"]
    told = subprocess.run(
        [curl, "-sS", *options, "-w", " %{http_version} %header{x-request-id}", f"{scheme}://a.test:{port}/a?b=1"],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    ).stdout.split()
    thread.join()
    assert told[:2] == ["ok", version]
    line = gateway.line(told[2])
    assert line["protocol"] == f"HTTP/{version}"
    assert (line["path"], line["host"], line["status"]) == ("/a?b=*", f"a.test:{port}", 200)
    service.settle()


def test_httpx_asks_many_at_once_of_one_connection(gateway: Gateway, service: Service) -> None:
    context = ssl.create_default_context(cafile=str(gateway.directory / "root.pem"))
    sent = bytes(range(256)) * 2000

    def run() -> None:
        for _ in range(4):
            peer = service.accept()
            request = peer.request()
            assert request.one(b"X-Forwarded-Proto") == b"https"
            assert request.one(b"Via").startswith(b"2 apigw-")
            packed = gzip.compress(request.body)
            peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
            )

    thread = Thread(target=run)
    thread.start()
    url = f"https://localhost:{gateway.ports['secure']}/a"
    with httpx.Client(http2=True, verify=context, timeout=BOUND) as client:
        for _ in range(4):
            answer = client.post(url, content=sent)
            assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, sent)
    thread.join()
    service.settle()


# -- requests ----------------------------------------------------------------------------------------------------------


def test_many_at_once_are_answered_in_any_order(opened: Open, service: Service) -> None:
    wire = opened()
    numbers = [wire.ask(b"/%d" % count) for count in range(5)]
    peers = {}
    for _ in numbers:
        peer = service.accept()
        peers[peer.request().first.split(b" ")[1]] = peer
    for count in reversed(range(5)):
        peers[b"/%d" % count].send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na%d" % count)
        assert wire.answer(numbers[count]).body == b"a%d" % count


def test_the_fields_of_a_request_and_of_an_answer(opened: Open, service: Service, gateway: Gateway) -> None:
    wire = opened()
    number = wire.ask(
        b"/a", (b"cookie", b"a=1"), (b"te", b"trailers"), (b"x-one", b""), (b"cookie", b"b=2"), (b"cookie", b"c=3")
    )
    peer = service.accept()
    request = peer.request()
    assert request.first == b"GET /a HTTP/1.1"
    assert request.one(b"Host") == b"gw"
    assert request.one(b"cookie") == b"a=1; b=2; c=3"
    assert request.one(b"x-one") == b""
    assert not request.all(b"te")
    assert not [name for name, _ in request.fields if name.startswith(b":")]
    peer.send(
        b"HTTP/1.1 200 OK\r\nX-Two: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )
    answer = wire.answer(number)
    [head] = answer.heads
    names = [name for name, _ in head]
    assert head[0] == (b":status", b"200")
    assert names.count(b"set-cookie") == 2
    assert b"x-two" in names
    assert not {b"connection", b"keep-alive", b"x-hop"} & set(names)
    assert all(name == name.lower() for name in names)
    assert gateway.line(answer.one(b"x-request-id").decode())["protocol"] == "HTTP/2"


def test_bodies_stream_both_ways_with_trailers(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", method=b"POST", body=b"")
    wire.body(number, b"one")
    peer = service.accept()
    head = peer.head()
    assert head.one(b"Transfer-Encoding") == b"chunked"
    assert peer.until(b"one\r\n")
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nuno\r\n")
    answer = wire.answers[number]
    while answer.body != b"uno":
        wire.read()
    wire.body(number, b"two")
    wire.trailers(number, [(b"x-count", b"2"), (b"host", b"evil")])
    assert peer.until(b"\r\n\r\n") == b"3\r\ntwo\r\n0\r\nx-count: 2\r\n\r\n"
    peer.send(b"3\r\ndos\r\n0\r\nX-Sum: 6\r\n\r\n")
    wire.answer(number)
    assert (answer.body, answer.heads[-1]) == (b"unodos", [(b"x-sum", b"6")])


def test_a_length_that_is_told_is_passed_on(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", (b"content-length", b"5"), method=b"POST", body=b"12345")
    peer = service.accept()
    request = peer.request()
    assert (request.one(b"Content-Length"), request.body) == (b"5", b"12345")
    peer.send(OK)
    assert wire.answer(number).body == b"ok"


def test_head_and_answers_without_a_body(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", method=b"HEAD")
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    answer = wire.answer(number)
    assert (answer.one(b"content-length"), answer.body, answer.reset) == (b"1000", b"", None)
    number = wire.ask(b"/a")
    peer.request()
    peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert wire.answer(number).status == 204


def test_early_hints_and_continue(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", (b"expect", b"100-continue"), method=b"POST", body=b"")
    peer = service.accept()
    peer.head()
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    answer = wire.answers[number]
    while len(answer.heads) < 2:
        wire.read()
    wire.body(number, b"now", True)
    peer.until(b"0\r\n\r\n")
    peer.send(OK)
    assert wire.answer(number).statuses == [103, 100, 200]


def test_an_answer_that_says_nothing_has_changed(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", (b"if-none-match", b'"1"'))
    peer = service.accept()
    peer.request()
    peer.send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\n')
    answer = wire.answer(number)
    assert (answer.status, answer.body, answer.ended, answer.reset) == (304, b"", True, None)
    number = wire.ask(b"/b")
    peer.request()
    peer.send(OK)
    assert wire.answer(number).body == b"ok"


def test_an_answer_before_the_end_of_an_upload(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", method=b"POST", body=b"")
    wire.body(number, bytes(1000))
    peer = service.accept()
    peer.head()
    peer.send(OK)
    answer = wire.answer(number)
    # What was on its way then.
    for _ in range(200):
        wire.body(number, bytes(100))
    wire.settle()
    assert (answer.status, answer.body, answer.reset, wire.goaways) == (200, b"ok", 0, [])
    peer.gone()
    number = wire.ask(b"/b")
    other = service.accept()
    other.request()
    other.send(OK)
    assert wire.answer(number).body == b"ok"


# -- flow control ------------------------------------------------------------------------------------------------------


def test_an_answer_waits_for_the_window(opened: Open, service: Service) -> None:
    wire = opened(10)
    number = wire.ask()
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + b"a" * 25)
    answer = wire.answers[number]
    while len(answer.body) < 10:
        wire.read()
    wire.settle()
    assert answer.body == b"a" * 10
    wire.send(WindowUpdateFrame(number, window_increment=10))
    while len(answer.body) < 20:
        wire.read()
    wire.settle()
    assert answer.body == b"a" * 20
    wire.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 30}))
    assert wire.answer(number).body == b"a" * 25


def test_a_service_is_paused_for_a_stream_that_waits_and_others_go_on(opened: Open, service: Service) -> None:
    wire = opened(0)
    slow = wire.ask(b"/slow")
    peer = service.accept()
    peer.request()
    peer.socket.settimeout(0.5)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    written = 0
    with pytest.raises(TimeoutError):
        while True:
            written += peer.socket.send(bytes(65536))
    assert written < 20_000_000
    quick = wire.ask(b"/quick")
    wire.send(WindowUpdateFrame(quick, window_increment=100))
    other = service.accept()
    other.request()
    other.send(OK)
    assert wire.answer(quick).body == b"ok"
    wire.reset(slow)
    peer.gone()


def test_a_client_may_send_as_much_as_the_service_takes(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask(b"/a", method=b"POST", body=b"")
    peer = service.accept()
    peer.head()
    wire.body(number, bytes(65536))
    peer.until(b"\r\n" + bytes(100))
    frames = []
    while not any(isinstance(frame, WindowUpdateFrame) and frame.stream_id == number for frame in frames):
        frames.append(wire.read())
    wire.body(number, b"", True)
    peer.until(b"\r\n0\r\n\r\n")
    peer.send(OK)
    assert wire.answer(number).status == 200


# -- over TLS ----------------------------------------------------------------------------------------------------------


def test_large_bodies_both_ways_over_tls(secured: Open, service: Service) -> None:
    wire = secured()
    sent = bytes(range(256)) * 200
    number = wire.ask(b"/a", method=b"POST", body=sent)
    peer = service.accept()
    request = peer.request()
    assert request.body == sent
    answered = bytes(range(256)) * 8000
    thread = Thread(
        target=peer.send, args=[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answered) + answered]
    )
    thread.start()
    assert wire.answer(number).body == answered
    thread.join()


def test_a_host_that_needs_a_certificate_is_not_to_be_had_on_the_connection_of_another(secured: Open) -> None:
    wire = secured()
    frame = wire.head(pseudo(authority=b"partner.test"))
    wire.send(frame)
    assert wire.answer(frame.stream_id).status == 421


def test_a_reason_is_told_over_tls_too(secured: Open) -> None:
    wire = secured()
    wire.wire.send(PingFrame(0, opaque_data=bytes(8)).serialize() * 100)
    assert wire.goodbye() == "pings"


def test_a_client_that_reads_little_at_a_time_gets_all_over_tls(secured: Open, service: Service) -> None:
    wire = secured(receive_buffer=4096)
    number = wire.ask()
    peer = service.accept()
    peer.request()
    answered = bytes(300_000)
    thread = Thread(
        target=peer.send, args=[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answered) + answered]
    )
    thread.start()
    assert wire.answer(number).body == answered
    thread.join()


# -- cancelling --------------------------------------------------------------------------------------------------------


def test_a_reset_cancels_the_request_at_the_service(opened: Open, service: Service, gateway: Gateway) -> None:
    wire = opened()
    number, other = wire.ask(b"/a", (b"x-request-id", b"given-up")), wire.ask(b"/b")
    peers = [service.accept(), service.accept()]
    paths = [peer.request().first for peer in peers]
    given_up = peers[paths.index(b"GET /a HTTP/1.1")]
    kept = peers[paths.index(b"GET /b HTTP/1.1")]
    wire.reset(number)
    given_up.gone()
    kept.send(OK)
    assert wire.answer(other).body == b"ok"
    gateway.wait(
        lambda: any(line["path"] == "/a" and line["error"] == "client-disconnected" for line in gateway.logged)
    )


def test_a_reset_in_the_middle_of_uploads_frees_the_service_and_the_windows(opened: Open, service: Service) -> None:
    wire = opened()
    # More than the window of the connection, if what was given up stayed counted.
    for _ in range(20):
        number = wire.ask(b"/a", (b"content-length", b"1000000"), method=b"POST", body=b"")
        wire.body(number, bytes(65536))
        peer = service.accept()
        peer.head()
        wire.reset(number)
        peer.gone()
    number = wire.ask(b"/b", method=b"POST", body=bytes(65536))
    peer = service.accept()
    assert len(peer.request().body) == 65536
    peer.send(OK)
    assert wire.answer(number).body == b"ok"
    assert wire.goaways == []


def test_a_service_that_dies_resets_the_stream(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask()
    peer = service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    answer = wire.answers[number]
    while answer.body != b"half":
        wire.read()
    peer.reset()
    wire.answer(number)
    assert (answer.ended, answer.reset) == (False, 2)
    number = wire.ask()
    peer = service.accept()
    peer.request()
    peer.send(OK)
    assert wire.answer(number).body == b"ok"


def test_a_body_that_is_too_large_is_refused_alone(opened: Open) -> None:
    wire = opened()
    number = wire.ask(b"/small", method=b"POST", body=bytes(11))
    answer = wire.answer(number)
    assert answer.status == 413
    number = wire.ask(b"/small", method=b"POST", body=b"")
    wire.body(number, bytes(11))
    answer = wire.answer(number)
    wire.settle()
    assert (answer.status, answer.ended, answer.reset) == (413, True, 0)
    assert not wire.goaways


# -- ending ------------------------------------------------------------------------------------------------------------


def test_a_client_that_says_goodbye_gets_what_it_asked_for(opened: Open, service: Service) -> None:
    wire = opened()
    number = wire.ask()
    peer = service.accept()
    peer.request()
    wire.send(GoAwayFrame(0, last_stream_id=0))
    peer.send(OK)
    assert wire.answer(number).body == b"ok"
    assert wire.wire.ended()


def test_a_stop_takes_no_more_and_ends_with_what_is_under_way(directory: Path, own_service: Service) -> None:
    ini = INI.format(port=own_service.port)
    ini = ini[: ini.index("[listener:secure]")] + ini[ini.index("[gateway]") :]
    with Gateway(directory, ini, listeners=1) as gateway:
        wire = Http2Wire(connect(gateway.port))
        number = wire.ask()
        peer = own_service.accept()
        peer.request()
        gateway.signal(signal.SIGTERM)
        assert wire.goaway().last_stream_id == 2**31 - 1
        late = wire.ask(b"/late")
        second = own_service.accept()
        second.request()
        wire.send(PingFrame(0, opaque_data=_ping(wire).opaque_data, flags=["ACK"]))
        assert wire.goaway().last_stream_id == late
        refused = wire.ask(b"/refused")
        assert wire.answer(refused).reset == 7
        second.send(OK)
        assert wire.answer(late).body == b"ok"
        peer.send(OK)
        assert wire.answer(number).body == b"ok"
        assert wire.wire.ended()
        wire.close()
        assert gateway.ends() == 0
    lines = [(line["path"], line["status"]) for line in gateway.logged]
    assert sorted(lines) == [("/", 200), ("/late", 200)]


def _ping(wire: Http2Wire) -> PingFrame:
    found = [frame for frame in wire.others if isinstance(frame, PingFrame)]
    while not found:
        frame = wire.read()
        if isinstance(frame, PingFrame):
            found.append(frame)
    return found[0]


def test_metrics_tell_of_it(opened: Open, service: Service, gateway: Gateway) -> None:
    def value(name: str) -> float:
        text = httpx.get(f"http://127.0.0.1:{gateway.ports['admin']}/metrics").text
        [line] = [line for line in text.splitlines() if line.startswith(f'{name}{{listener="plain"}}')]
        return float(line.split()[1])

    connections, requests = value("apigw_http2_connections_total"), value("apigw_http2_requests_total")
    wire = opened()
    for _ in range(2):
        number = wire.ask(b"/small", method=b"POST", body=bytes(20))
        assert json.loads(wire.answer(number).body)["status"] == 413
    assert value("apigw_http2_connections_total") == connections + 1
    assert value("apigw_http2_requests_total") == requests + 2


def test_what_is_not_http2_after_alpn_is_told_so(gateway: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(gateway.directory / "root.pem"))
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", gateway.ports["secure"]), BOUND)
    with context.wrap_socket(plain, server_hostname="a.test") as sock:
        assert sock.selected_alpn_protocol() == "h2"
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        data = b""
        while piece := sock.recv(1000):
            data += piece
        assert data.endswith(b"not-http2")


def test_pseudo_fields_of_another_host_are_the_route(opened: Open, service: Service) -> None:
    wire = opened()
    frame = wire.head([*pseudo(authority=b"A.example:8443"), (b"host", b"a.example:8443")])
    wire.send(frame)
    peer = service.accept()
    assert peer.request().one(b"Host") == b"A.example:8443"
    peer.send(OK)
    assert wire.answer(frame.stream_id).status == 200
