import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.addresses import PEER, PEERS, PeerAddress, parse_host
from apigw.config.kind import RowError


def wrong(text):
    with pytest.raises(ValueError) as caught:
        PEER.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("http://10.0.0.1:9001", PeerAddress(scheme="http", host="10.0.0.1", port=9001)),
        ("http://10.0.0.1:9001/", PeerAddress(scheme="http", host="10.0.0.1", port=9001)),
        ("HTTP://User-Service", PeerAddress(scheme="http", host="user-service", port=80)),
        ("https://a.example.com", PeerAddress(scheme="https", host="a.example.com", port=443)),
        ("http://my_service:1", PeerAddress(scheme="http", host="my_service", port=1)),
        ("http://[::1]:80", PeerAddress(scheme="http", host="::1", port=80)),
        ("http://[2001:DB8:0:0::1]:81", PeerAddress(scheme="http", host="2001:db8::1", port=81)),
        ("unix:/run/user.sock", PeerAddress(scheme="unix", path="/run/user.sock")),
        ("unix:///run/user.sock", PeerAddress(scheme="unix", path="/run/user.sock")),
        ("demo:user", PeerAddress(scheme="demo", host="user")),
        ("http://a:1 weight=2", PeerAddress(scheme="http", host="a", port=1, weight=2)),
        ("srv+http://_User._tcp.example", PeerAddress(scheme="srv+http", host="_user._tcp.example")),
        ("srv+https://user.example", PeerAddress(scheme="srv+https", host="user.example")),
        ("registry:user", PeerAddress(scheme="registry", host="user")),
        ("kubernetes://shop/user", PeerAddress(scheme="kubernetes", namespace="shop", host="user")),
        (
            "kubernetes+https://shop/user:grpc weight=2",
            PeerAddress(scheme="kubernetes+https", namespace="shop", host="user", port_name="grpc", weight=2),
        ),
        ("unix:/s  weight=65535", PeerAddress(scheme="unix", path="/s", weight=65535)),
    ],
)
def test_addresses(text, peer):
    assert PEER.parse(text) == peer
    assert PEER.parse(PEER.render(peer)) == peer


@pytest.mark.parametrize(
    ("text", "label", "authority"),
    [
        ("http://10.0.0.1:9001", "10.0.0.1:9001", "10.0.0.1:9001"),
        ("http://a", "a:80", "a"),
        ("https://a:80", "a:80", "a:80"),
        ("https://[::1]", "[::1]:443", "[::1]"),
        ("unix:/run/user.sock", "/run/user.sock", "localhost"),
        ("demo:ai", "ai", "localhost"),
    ],
)
def test_what_an_address_is_called(text, label, authority):
    peer = PEER.parse(text)
    assert (peer.label, peer.authority) == (label, authority)


@pytest.mark.parametrize(
    ("text", "discovered"),
    [
        ("http://10.0.0.1:1", False),
        ("https://[::1]", False),
        ("unix:/s", False),
        ("demo:user", False),
        ("http://localhost:1", True),
        ("https://user.example", True),
        ("srv+http://a", True),
        ("registry:a", True),
        ("kubernetes://a/b:1", True),
    ],
)
def test_what_is_an_address_and_what_stands_for_some(text, discovered):
    assert PEER.parse(text).discovered == discovered


def test_a_peer_with_a_name_of_its_own():
    peer = PeerAddress(scheme="https", host="10.0.0.1", port=8443, name="user.example")
    assert (peer.label, peer.authority) == ("10.0.0.1:8443", "user.example:8443")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1:9001", "'10.0.0.1:9001' has no scheme, write http://10.0.0.1:9001"),
        ("localhost:9001", "'localhost:9001' has no scheme, write http://localhost:9001"),
        ("localhost", "'localhost' has no scheme, write http://localhost"),
        ("htp://a", "'htp://a' has an unknown scheme, did you mean http?"),
        ("ftp://a", "unknown scheme"),
        ("ws://a", "unknown scheme"),
        ("http:a:1", "'http:a:1' lacks the slashes, write http://a:1"),
        ("http:/a", "lacks the slashes, write http://a"),
        ("http://a:1/api", "'http://a:1/api' goes on after the host, write http://a:1 and rewrite in the route"),
        ("http://a?x", "goes on after the host, write http://a and"),
        ("http://a#x", "goes on after the host"),
        ("http://a\\b", "goes on after the host"),
        ("http://me:secret@a", "a URL with a user or password in it"),
        ("http://", "'http://' names no host, write for example http://10.0.0.1:9001"),
        ("http://:80", "names no host"),
        ("http://a:b", "names no host"),
        ("http://a:0", "'http://a:0': a port is a whole number from 1 to 65535"),
        ("http://a:65536", "a port is a whole number"),
        ("http://a:", "a port is a whole number"),
        ("http://300.1.1.1", "'http://300.1.1.1': '300.1.1.1' is not an IPv4 address"),
        ("http://[::1", "names no host"),
        ("http://[zz]", "'[zz]' is not an IPv6 address"),
        ("http://-a", "'-a' is not a host name"),
        ("http://a..b", "'a..b' is not a host name"),
        ("http://*.a", "'*.a' is not a host name"),
        ("http://" + "a" * 64, "is not a host name"),
        ("http://bücher.example", "'bücher.example' is not plain ASCII, write xn--bcher-kva.example"),
        ("unix:run/user.sock", "'unix:run/user.sock' is not the absolute path of a socket"),
        ("unix:/run/", "is not the absolute path of a socket"),
        ("unix:/" + "x" * 107, "longer than the 107 bytes"),
        ("demo:usr", "'demo:usr' names no embedded service, did you mean user?"),
        ("demo:", "'demo:' names no embedded service, there are user, ai, music"),
        ("srv+http:_user._tcp.example", "names no SRV records, write for example srv+http://_user._tcp.example"),
        ("srv+http://", "names no SRV records"),
        ("srv+http://10.0.0.1", "names no SRV records"),
        ("srv+https://_user._tcp.example:80", "names no SRV records"),
        ("srv+http://_user._tcp.example weight=2", "tells weights by itself, leave weight=2 out"),
        ("srv+htp://a", "unknown scheme, did you mean srv+http?"),
        ("registry:", "names no service of a registry, write for example registry:user"),
        ("registry:a/b", "names no service of a registry"),
        ("registry:user weight=3", "tells weights by itself"),
        ("kubernetes:shop/user", "names no service, write for example kubernetes://NAMESPACE/SERVICE:PORT"),
        ("kubernetes://user", "names no service"),
        ("kubernetes://shop/../user", "names no service"),
        ("kubernetes://shop/user:", "names no service"),
        ("kubernetes://shop/user:a%2f", "names no service"),
        ("kubernetes://shop/user:80/x", "names no service"),
        ("kubernetes://Shop/user", "names no service"),
        ("http://a weight=0", "'weight=0': a weight is a whole number from 1 to 65535"),
        ("http://a weight=1.5", "a weight is a whole number"),
        ("http://a weigth=2", "'weigth=2' says nothing of an address, only weight=N may follow one"),
        ("http://a http://b", "'http://b' follows 'http://a' without a comma between them"),
    ],
)
def test_what_is_no_address(text, said):
    assert said in wrong(text)


def test_a_password_is_not_repeated():
    assert "hunter2" not in wrong("http://me:hunter2@a")


def test_several_addresses():
    peers = PEERS.parse("http://a:1 weight=2, http://b:2\nunix:/c")
    assert [peer.label for peer in peers] == ["a:1", "b:2", "/c"]
    assert PEERS.parse(PEERS.render(peers)) == peers


@pytest.mark.parametrize("text", ["http://a, http://a:80", "http://a weight=2, http://a"])
def test_no_address_twice(text):
    with pytest.raises(RowError, match="is here twice"):
        PEERS.parse(text)


def test_hosts_are_in_one_form():
    assert parse_host("API.Example.COM") == "api.example.com"
    assert parse_host("[0:0:0::1]") == "::1"


@given(st.text(max_size=20) | st.text("htps:/@[].0123456789ab %,weight=", max_size=40))
def test_any_text_is_read_or_refused(text):
    for candidate in (text, f"http://{text}"):
        try:
            peer = PEER.parse(candidate)
        except ValueError:
            continue
        assert PEER.parse(PEER.render(peer)) == peer
        assert peer.authority.isascii()
