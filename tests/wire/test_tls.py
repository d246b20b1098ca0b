"""TLS ended by the real gateway, with the clients of the standard library."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from time import monotonic

import pytest

from tests.authority import Authority, serials, write
from tests.wire.gateway import BOUND, Gateway
from tests.wire.sockets import Cut, Service, Wire, connect

INI = """\
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = certificates/*.pem
handshake_timeout = 500ms
[gateway]
header_timeout = 500ms
[service:user]
urls = http://127.0.0.1:{port}
retry.attempts = 1
client_certificate = yes
[route:users]
path = /
service = user
"""

MUTUAL = """
[listener:mutual]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = certificates/*.pem
client_auth = required
client_ca = clients.pem
[listener:maybe]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = certificates/*.pem
client_auth = optional
client_ca = clients.pem
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
[host:partner.example.com]
client_auth = required
client_ca = partners.pem
"""

GET = b"GET /a HTTP/1.1\r\nHost: %b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Secure:
    """A gateway with certificates for a.test, *.example.com and plain.example.com, in that order."""

    def __init__(self, directory: Path, service: Service, more: str = "", ini: str = INI, listeners: int = 4) -> None:
        self.directory = directory
        self.service = service
        self.root = Authority("root")
        middle = Authority("middle", self.root)
        certificates = directory / "certificates"
        certificates.mkdir()
        self.a = middle.issue("a.test", "localhost")
        write(certificates / "1.pem", self.a)
        write(certificates / "2.pem", self.root.issue("*.example.com"))
        write(certificates / "3.pem", self.root.issue("plain.example.com"))
        self.clients, self.partners = Authority("clients"), Authority("partners")
        write(directory / "root.pem", self.root.pem)
        write(directory / "clients.pem", self.clients.pem)
        write(directory / "partners.pem", self.partners.pem)
        write(directory / "client.pem", self.clients.issue(subject="cl\u00e4ra", client=True))
        write(directory / "partner.pem", self.partners.issue(subject="paul", client=True))
        self.gateway = Gateway(directory, ini.format(port=service.port) + more, listeners=listeners if more else 1)

    def context(self, client: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.directory / "root.pem"))
        if client:
            context.load_cert_chain(self.directory / f"{client}.pem")
        return context

    def connect(
        self,
        name: str | None = "a.test",
        listener: str = "secure",
        client: str = "",
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Wire:
        context = context or self.context(client)
        if name is None:
            context.check_hostname = False
        plain = socket.create_connection(("127.0.0.1", self.gateway.ports[listener]), BOUND)
        return Wire(context.wrap_socket(plain, server_hostname=name, session=session, suppress_ragged_eofs=False))

    def asks(self, wire: Wire, host: str) -> int:
        """:return: the status."""
        wire.send(b"GET /health HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode())
        return wire.answer().status

    def refuses(self, name: str, listener: str, client: str = "", host: str = "") -> bool:
        """Whether the handshake fails; in TLS 1.3 a client learns that with its first read."""
        try:
            with self.connect(name, listener, client).socket as sock:
                sock.sendall(GET % (host or name).encode())
                return not sock.recv(100)
        except (ssl.SSLError, ConnectionError):
            return True


@pytest.fixture(scope="module")
def _secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    service = Service()
    made = Secure(tmp_path_factory.mktemp("secure"), service)
    with made.gateway:
        yield made
    service.close()


@pytest.fixture
def secure(_secure: Secure) -> Iterator[Secure]:
    """One listener; shared by tests."""
    yield _secure
    _secure.service.settle()


@pytest.fixture(scope="module")
def _mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    service = Service()
    made = Secure(tmp_path_factory.mktemp("mutual"), service, MUTUAL)
    with made.gateway:
        yield made
    service.close()


@pytest.fixture
def mutual(_mutual: Secure) -> Iterator[Secure]:
    """Several listeners, and a host that requires certificates; shared by tests."""
    yield _mutual
    _mutual.service.settle()


@pytest.fixture
def fresh(directory: Path, own_service: Service) -> Iterator[Secure]:
    """As ``secure``, for a test that changes its files."""
    made = Secure(directory, own_service)
    with made.gateway:
        yield made


def shown(wire: Wire) -> list[str]:
    certificate = wire.socket.getpeercert()
    return [name for _, name in certificate["subjectAltName"]]


def test_requests_are_served_and_services_told_of_https(secure):
    wire = secure.connect()
    assert wire.socket.version() == "TLSv1.3"
    peer = None
    for _ in range(2):
        wire.send(GET % b"a.test")
        peer = peer or secure.service.accept()
        request = peer.request()
        assert request.text("X-Forwarded-Proto") == "https"
        assert request.text("Forwarded").endswith(";proto=https")
        assert not request.all(b"x-client-cert-subject")
        peer.send(OK)
        assert wire.answer().body == b"ok"
    wire.close()


def test_large_bodies_both_ways(secure):
    wire = secure.connect()
    data = bytes(range(256)) * 3000
    wire.send(b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    peer = secure.service.accept()
    assert peer.request().body == data
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    assert wire.answer().body == data
    wire.close()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a.test", ["a.test", "localhost"]),
        ("A.TEST", ["a.test", "localhost"]),
        ("b.example.com", ["*.example.com"]),
        ("plain.example.com", ["plain.example.com"]),
    ],
)
def test_the_certificate_is_chosen_by_name(secure, name, names):
    wire = secure.connect(name)
    assert shown(wire) == names
    wire.close()


@pytest.mark.parametrize("name", [None, "elsewhere.test", "a.b.example.com", "example.com"])
def test_the_first_is_the_default(secure, name):
    context = secure.context()
    context.check_hostname = False
    wire = secure.connect(name, context=context)
    assert shown(wire) == ["a.test", "localhost"]
    wire.close()


def test_the_protocol_is_agreed_on(secure):
    context = secure.context()
    context.set_alpn_protocols(["h3", "http/1.1"])
    wire = secure.connect(context=context)
    assert wire.socket.selected_alpn_protocol() == "http/1.1"
    wire.close()


def test_only_good_ciphers(secure):
    context = secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    wire = secure.connect(context=context)
    assert wire.socket.cipher()[0] in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")
    wire.close()
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        secure.connect(context=context)


def test_old_versions_are_refused(secure):
    context = secure.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure.connect(context=context)


def with_a_session(secure, version):
    """:return: what the client's connections share, and one of them, which has been asked something."""
    context = secure.context()
    context.maximum_version = context.minimum_version = version
    first = secure.connect(context=context)
    assert secure.asks(first, "a.test") == 200
    return context, first


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(secure, version):
    context, first = with_a_session(secure, version)
    again = secure.connect(context=context, session=first.socket.session)
    assert again.socket.session_reused
    assert secure.asks(again, "a.test") == 200
    first.close()
    again.close()


def test_the_handshake_has_a_deadline(secure):
    for piece in (b"", b"\x16\x03\x01\x02\x00"):
        wire = connect(secure.gateway.port)
        begun = monotonic()
        wire.send(piece)
        wire.gone()
        assert 0.3 < monotonic() - begun < 3.0


def test_a_slow_head_is_answered_408_under_tls_too(secure):
    wire = secure.connect()
    wire.send(b"GET / HTTP/1.1\r\n")
    assert wire.answer().status == 408
    assert wire.ended()
    wire.close()


def test_what_is_no_tls_is_dropped(secure):
    wire = connect(secure.gateway.port)
    wire.send(GET % b"a.test")
    wire.gone()


def test_the_last_answer_ends_with_a_farewell(secure):
    wire = secure.connect()
    wire.send(b"GET /health HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
    assert wire.answer().status == 200
    assert wire.socket.recv(10) == b""  # SSLEOFError without close_notify
    wire.close()


def test_a_refused_upload_reads_its_answer(secure):
    wire = secure.connect()
    wire.send(b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9000000\r\n\r\n")
    wire.send(b"x" * 300_000)
    assert wire.answer().status == 413
    wire.close()


def test_a_cut_answer_has_no_farewell(secure):
    wire = secure.connect()
    wire.send(b"GET /a HTTP/1.0\r\nHost: a.test\r\n\r\n")
    peer = secure.service.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    assert wire.until(b"half")
    peer.reset()
    with pytest.raises((Cut, ssl.SSLEOFError)):
        wire.rest()


@pytest.mark.parametrize("how", ["farewell", "close"])
def test_a_client_that_closes_cancels_its_request(secure, how):
    wire = secure.connect()
    wire.send(GET % b"a.test")
    peer = secure.service.accept()
    peer.request()
    if how == "farewell":
        wire.socket.unwrap()
    else:
        wire.close()
    peer.gone()


# -- client certificates --------------------------------------------------------------------------------------------


def test_a_listener_that_requires_certificates(mutual):
    assert mutual.refuses("a.test", "mutual")
    assert mutual.refuses("a.test", "mutual", "partner")
    assert mutual.asks(mutual.connect("a.test", "mutual", "client"), "a.test") == 200
    assert mutual.asks(mutual.connect("a.test", "secure"), "a.test") == 200


def test_a_listener_that_takes_them(mutual):
    assert mutual.asks(mutual.connect("a.test", "maybe"), "a.test") == 200
    assert mutual.asks(mutual.connect("a.test", "maybe", "client"), "a.test") == 200
    assert mutual.refuses("a.test", "maybe", "partner")


@pytest.mark.parametrize("listener", ["secure", "maybe", "mutual"])
def test_a_host_that_requires_them(mutual, listener):
    assert mutual.refuses("partner.example.com", listener)
    assert mutual.refuses("PARTNER.example.com", listener)
    assert mutual.refuses("partner.example.com", listener, "client")
    assert mutual.asks(mutual.connect("partner.example.com", listener, "partner"), "partner.example.com") == 200


def test_a_host_that_requires_them_cannot_be_reached_by_another_name(mutual):
    wire = mutual.connect("a.test")
    assert mutual.asks(wire, "a.test") == 200
    for host in ("partner.example.com", "Partner.Example.Com.:443"):
        assert mutual.asks(wire, host) == 421
    assert mutual.asks(mutual.connect(None), "partner.example.com") == 421
    assert mutual.asks(mutual.connect("a.test", "mutual", "client"), "partner.example.com") == 421
    assert mutual.asks(mutual.connect("partner.example.com", "mutual", "partner"), "a.test") == 421
    assert mutual.asks(mutual.connect("partner.example.com", "secure", "partner"), "a.test") == 200
    assert mutual.asks(connect(mutual.gateway.ports["plain"]), "partner.example.com") == 421
    assert mutual.asks(connect(mutual.gateway.ports["plain"]), "a.test") == 200


def test_a_host_that_asks_for_nothing_is_no_way_into_the_others(directory, own_service):
    more = MUTUAL.partition("[host")[0] + "[host:open.example.com]\nclient_auth = none\n"
    made = Secure(directory, own_service, more)
    with made.gateway:
        wire = made.connect("open.example.com", "mutual")
        assert made.asks(wire, "open.example.com") == 200
        assert made.asks(wire, "a.test") == 421
        assert made.refuses("a.test", "mutual", host="open.example.com")
        wire.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_one_host_is_no_way_into_another(mutual, version):
    context, first = with_a_session(mutual, version)
    try:
        again = mutual.connect("partner.example.com", context=context, session=first.socket.session)
        again.send(GET % b"partner.example.com")
        assert again.socket.recv(100) == b""
    except (ssl.SSLError, ConnectionError):
        pass


def test_services_are_told_who_has_shown_a_certificate(mutual):
    wire = mutual.connect("a.test", "mutual", "client")
    wire.send(b"GET /a HTTP/1.1\r\nHost: a.test\r\nX-Client-Cert-Subject: CN=admin\r\nx_client_cert_subject: x\r\n\r\n")
    peer = mutual.service.accept()
    request = peer.request()
    assert request.one(b"X-Client-Cert-Subject") == "CN=cl\u00e4ra".encode()
    der = ssl.PEM_cert_to_DER_cert(
        (mutual.directory / "client.pem").read_text().partition("-----END PRIVATE KEY-----\n")[2]
    )
    assert request.text("X-Client-Cert-Fingerprint") == sha256(der).hexdigest()
    assert not request.all(b"x_client_cert_subject")
    peer.send(OK)
    assert wire.answer().status == 200


# -- files that change ----------------------------------------------------------------------------------------------


def serial(secure: Secure, name: str = "a.test") -> int:
    wire = secure.connect(name)
    found = int(wire.socket.getpeercert()["serialNumber"], 16)
    wire.close()
    return found


def test_certificates_are_read_again(fresh):
    begun = fresh.connect()
    new = fresh.root.issue("a.test")
    write(fresh.directory / "certificates" / "1.pem", new)
    fresh.gateway.signal(signal.SIGHUP)
    fresh.gateway.wait(lambda: any("certificates: " in line for line in fresh.gateway.output))
    assert serial(fresh) == serials(new)[0]
    assert fresh.asks(begun, "a.test") == 200
    begun.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_outlast_a_reload_while_the_certificate_does(fresh, version):
    context, first = with_a_session(fresh, version)
    for resumed, pem in ((True, fresh.a), (False, fresh.root.issue("a.test"))):
        write(fresh.directory / "certificates" / "1.pem", pem)
        before = len(fresh.gateway.output)
        fresh.gateway.signal(signal.SIGHUP)
        fresh.gateway.wait(lambda before=before: any("reloaded in" in line for line in fresh.gateway.output[before:]))
        again = fresh.connect(context=context, session=first.socket.session)
        assert again.socket.session_reused == resumed
        assert fresh.asks(again, "a.test") == 200
        again.close()
    first.close()


def test_a_bad_certificate_is_not_taken(fresh):
    other = fresh.root.issue("b.example.com")
    write(fresh.directory / "certificates" / "1.pem", b"rubbish")
    write(fresh.directory / "certificates" / "4.pem", other)
    fresh.gateway.signal(signal.SIGHUP)
    fresh.gateway.wait(lambda: any("not reloaded" in line for line in fresh.gateway.output))
    assert any("1.pem holds no certificate" in line for line in fresh.gateway.output)
    assert serial(fresh) == serials(fresh.a)[0]
    assert serial(fresh, "b.example.com") != serials(other)[0]


# -- to https -------------------------------------------------------------------------------------------------------

TO_HTTPS = """
[listener:plain]
endpoint = tcp:0:interface=127.0.0.1
redirect = https:8443
[listener:other]
endpoint = tcp:0:interface=127.0.0.1
[listener:another]
endpoint = tcp:0:interface=127.0.0.1
redirect = https
"""


def test_clients_are_led_to_https(directory, own_service):
    made = Secure(directory, own_service, TO_HTTPS)
    with made.gateway as gateway:
        for listener, port in (("plain", ":8443"), ("another", "")):
            wire = connect(gateway.ports[listener])
            for target in (b"/", b"/health", b"/a%2Fb//c?d=e&f", b"/api/v1/auth/x"):
                wire.send(b"POST %b HTTP/1.1\r\nHost: A.test:80\r\nContent-Length: 2\r\n\r\nab" % target)
                answer = wire.answer()
                assert answer.status == 308
                assert answer.text("Location") == f"https://a.test{port}{target.decode()}"
                assert answer.all(b"x-request-id")
            wire.send(b"GET / HTTP/1.0\r\n\r\n")
            assert wire.answer().status == 400
            wire.close()
        assert made.asks(connect(gateway.ports["other"]), "a.test") == 200


def test_clients_are_told_to_stay_there(directory, own_service):
    more = "[listener:plain]\nendpoint = tcp:0:interface=127.0.0.1\n"
    own = INI.replace("header_timeout", "hsts = 1d includeSubDomains\nheader_timeout")
    made = Secure(directory, own_service, more, ini=own, listeners=2)
    with made.gateway as gateway:
        wires = {True: made.connect(), False: connect(gateway.ports["plain"])}
        for told, wire in wires.items():
            for path in (b"/health", b"/\\"):
                wire.send(b"GET %b HTTP/1.1\r\nHost: a.test\r\n\r\n" % path)
                value = [b"max-age=86400; includeSubDomains"] if told else []
                assert wire.answer().all(b"strict-transport-security") == value
            wire.close()
