import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from apigw.config.endpoints import ENDPOINT, ListenEndpoint, parse_port


def wrong(text):
    with pytest.raises(ValueError) as caught:
        ENDPOINT.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp:8080", ListenEndpoint("tcp:8080", "tcp", 8080)),
        ("tcp:0", ListenEndpoint("tcp:0", "tcp", 0)),
        ("tcp:port=8080", ListenEndpoint("tcp:port=8080", "tcp", 8080)),
        ("tcp:80:127.0.0.1", ListenEndpoint("tcp:80:127.0.0.1", "tcp", 80, "127.0.0.1")),
        (
            "tcp:9900:interface=127.0.0.1:backlog=4096",
            ListenEndpoint("tcp:9900:interface=127.0.0.1:backlog=4096", "tcp", 9900, "127.0.0.1", backlog=4096),
        ),
        (r"tcp:80:interface=\:\:1", ListenEndpoint(r"tcp:80:interface=\:\:1", "tcp", 80, "::1")),
        ("tcp:80:interface=localhost", ListenEndpoint("tcp:80:interface=localhost", "tcp", 80, "localhost")),
        ("tcp6:8080", ListenEndpoint("tcp6:8080", "tcp6", 8080)),
        (r"tcp6:80:interface=\:\:1", ListenEndpoint(r"tcp6:80:interface=\:\:1", "tcp6", 80, "::1")),
        ("unix:/run/gw.sock", ListenEndpoint("unix:/run/gw.sock", "unix", path="/run/gw.sock")),
        (
            "unix:gw.sock:mode=660:lockfile=0",
            ListenEndpoint("unix:gw.sock:mode=660:lockfile=0", "unix", path="gw.sock", mode=0o660),
        ),
    ],
)
def test_endpoints_are_twisteds(text, endpoint):
    assert ENDPOINT.parse(text) == endpoint
    assert ENDPOINT.render(endpoint) == text
    serverFromString(MemoryReactor(), text)


@pytest.mark.parametrize("text", ["systemd:domain=INET:index=0", "systemd:domain=UNIX:name=gw"])
def test_sockets_of_systemd(text):
    # Twisted looks for the socket itself here, which is there only under systemd.
    inherited: int | str = "gw" if "name" in text else 0
    assert ENDPOINT.parse(text) == ListenEndpoint(text, "systemd", inherited=inherited)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8080", "'8080' is only a port, write tcp:8080"),
        ("tpc:8080", "'tpc:8080' is not an endpoint, did you mean tcp?"),
        ("carrier-pigeon:1", "is not an endpoint, write for example tcp:8080"),
        ("", "is not an endpoint"),
        ("tcp", "'tcp' has no port, write for example tcp:8080"),
        ("tcp6:interface=x", "'tcp6:interface=x' has no port, write for example tcp6:8080"),
        ("tcp:http", "port 'http' is not a whole number from 0 to 65535"),
        ("tcp:65536", "port '65536' is not"),
        ("tcp:-1", "port '-1' is not"),
        ("tcp:80:backlog=0", "backlog '0' is not a whole number from 1 to 65535"),
        ("tcp:80:interfaces=127.0.0.1", "tcp takes no 'interfaces', did you mean interface?"),
        ("tcp:80:x=y", "tcp takes no 'x', it takes port, interface, backlog"),
        ("tcp:80:port=81", "gives port twice"),
        ("tcp:80:interface=::1", r"in an IPv6 address write \: for each colon"),
        ("tcp:80:interface=1.2.3", "interface '1.2.3' is not an address to listen on, such as 127.0.0.1"),
        ("tcp:80:a:1:b", "has more arguments than tcp takes"),
        ("tcp:80\\", "ends with a backslash"),
        ("ssl:8443", "'ssl:8443' is not a plain endpoint, write tcp:PORT, and tls = yes"),
        ("haproxy:tcp:80", "write tcp:PORT, and proxy_protocol = yes"),
        ("unix:", "'unix:' has no path, write for example unix:/run/apigw.sock"),
        ("unix:/s:mode=rw", "mode 'rw' is not a file mode, such as 660"),
        ("unix:/s:lockfile=yes", "lockfile 'yes' is not a whole number from 0 to 1"),
        ("systemd:domain=INET", "needs a domain and either an index or a name"),
        ("systemd:domain=INET:index=0:name=x", "needs a domain and either an index or a name"),
        ("systemd:domain=IPX:index=0", "'IPX' is not a domain, write INET, INET6 or UNIX"),
        ("systemd:domain=INET:index=a", "index 'a' is not a whole number"),
    ],
)
def test_what_is_no_endpoint(text, said):
    assert said in wrong(text)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("tcp:80", "tcp:80", False),
        ("tcp:80", "tcp:port=80:backlog=5", False),
        ("tcp:80", "tcp:80:interface=127.0.0.1", False),
        ("tcp:80:interface=127.0.0.1", "tcp:80:interface=127.0.0.2", True),
        ("tcp:80", "tcp:81", True),
        ("tcp:0", "tcp:0", True),
        ("tcp:80", "tcp6:80", True),
        ("unix:/a", "unix:/a:mode=660", False),
        ("unix:/a", "unix:/b", True),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0", False),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1", True),
    ],
)
def test_which_endpoints_can_be_listened_on_at_once(one, other, both):
    first, second = ENDPOINT.parse(one), ENDPOINT.parse(other)
    assert first.overlaps(second) is (not both)
    assert second.overlaps(first) is (not both)


def test_ports_of_the_founding_system():
    assert parse_port("3000") == ENDPOINT.parse("tcp:3000")
    for text in ("http", "65536", "-1", "80:interface=x"):
        with pytest.raises(ValueError, match="is not a port"):
            parse_port(text)


@given(st.text(max_size=20) | st.text(r"tcpunix6:=\/0123456789portbacklogmode.", max_size=40))
def test_what_is_accepted_twisted_takes(text):
    for candidate in (text, f"tcp:{text}", f"tcp6:1:{text}", f"unix:{text}"):
        try:
            endpoint = ENDPOINT.parse(candidate)
        except ValueError:
            continue
        serverFromString(MemoryReactor(), endpoint.text)
