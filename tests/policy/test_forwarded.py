"""Forwarding: whose word counts, what services are told, and loops."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.forwarded import (
    MAX_HOPS,
    MAX_VIA,
    Forwarding,
    Origin,
    canonical_ip,
    forwarding_fields,
    loops,
    parse_forwarded,
    via,
)

Field = tuple[bytes, bytes]
TRUSTED = ("10.0.0.0/8", "192.168.7.1", "fd00::/8", "::ffff:172.16.0.0/108")
FORWARDING = Forwarding(map(ip_network, TRUSTED))


def fields(**lines: str | list[str]) -> list[Field]:
    """``xff``, ``xfp``, ``xfh`` and ``fwd`` as fields, each once or more."""
    names = {
        "xff": b"X-Forwarded-For",
        "xfp": b"x-forwarded-PROTO",
        "xfh": b"X-Forwarded-Host",
        "fwd": b"Forwarded",
    }
    return [
        (names[key], value.encode("latin-1"))
        for key, values in lines.items()
        for value in ([values] if isinstance(values, str) else values)
    ]


def sent(origin: Origin, peer: str, authority: bytes = b"api.x") -> dict[bytes, bytes]:
    made = forwarding_fields(origin, peer, b"http", authority)
    assert len({name for name, _ in made}) == len(made)
    return dict(made)


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:80", "1.2.3.4"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:65535", "::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("1.2.3", None),
        ("1.2.3.256", None),
        ("1.2.3.04", None),
        ("1.2.3.4:", None),
        ("1.2.3.4:x", None),
        ("1.2.3.4 ", None),
        ("[::1", None),
        ("::1]", None),
        ("[::1]x", None),
        ("[1.2.3.4]", None),
        ("::1::", None),
        ("example.com", None),
        ("\u0661.2.3.4", None),
    ],
)
def test_the_shortest_form_of_an_address(text: str, ip: str | None) -> None:
    assert canonical_ip(text) == ip


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.168.7.1", True),
        ("192.168.7.2", False),
        ("::ffff:10.0.0.1", True),
        ("172.16.5.5", True),
        ("172.32.0.1", False),
        ("fd12::1", True),
        ("fe80::1", False),
        ("::10.0.0.1", False),
        ("", True),
        ("unknown", False),
        ("10.0.0.1" + " " * 100, False),
    ],
)
def test_whose_word_counts(host: str, trusted: bool) -> None:
    assert FORWARDING.trusts(host) is trusted
    assert Forwarding().trusts(host) is False


@given(
    st.lists(
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
            lambda ip: st.integers(0, ip.max_prefixlen).map(lambda size: ip_network(f"{ip}/{size}", strict=False))
        ),
        max_size=4,
    ),
    st.ip_addresses(),
)
def test_trust_is_membership(networks: list[IPv4Network | IPv6Network], ip: object) -> None:
    plain = ip_address(canonical_ip(str(ip)) or "")
    mapped = [n for n in networks if n.version == 6 and n.network_address.ipv4_mapped and n.prefixlen >= 96]
    if not mapped:
        assert Forwarding(networks).trusts(str(ip)) is any(plain in network for network in networks)


def test_every_address_may_be_trusted() -> None:
    everyone = Forwarding([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert everyone.trusts("1.2.3.4")
    assert everyone.trusts("2001:db8::1")


# -- a peer that isn't trusted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("forwarding", [Forwarding(), FORWARDING])
@pytest.mark.parametrize(
    ("peer", "ip", "node"),
    [
        ("203.0.113.9", "203.0.113.9", b"for=203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9", b"for=203.0.113.9"),
        ("2001:db8::1", "2001:db8::1", b'for="[2001:db8::1]"'),
        ("fe80::1%eth0", "fe80::1", b'for="[fe80::1]"'),
    ],
)
def test_what_a_stranger_says_does_not_count(forwarding: Forwarding, peer: str, ip: str, node: bytes) -> None:
    lies = fields(xff="1.1.1.1, 10.0.0.1", xfp="https", xfh="evil", fwd="for=1.1.1.1;proto=https;host=evil")
    origin = forwarding.origin(peer, lies)
    assert origin == Origin(ip)
    assert sent(origin, peer, b"api.x:8080") == {
        b"X-Forwarded-For": ip.encode(),
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"api.x:8080",
        b"Forwarded": node + b';host="api.x:8080";proto=http',
    }


def test_without_a_host_there_is_none_to_tell() -> None:
    made = sent(Origin("1.2.3.4"), "1.2.3.4", b"")
    assert made[b"Forwarded"] == b"for=1.2.3.4;proto=http"
    assert b"X-Forwarded-Host" not in made


def test_a_unix_socket() -> None:
    assert sent(Forwarding().origin("", fields(xff="1.1.1.1")), "") == {
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"api.x",
        b"Forwarded": b'for=unknown;host="api.x";proto=http',
    }
    origin = FORWARDING.origin("", fields(xff="1.1.1.1"))
    assert origin.ip == "1.1.1.1"
    assert sent(origin, "")[b"X-Forwarded-For"] == b"1.1.1.1"


# -- a peer that is trusted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "ip"),
    [
        ({}, "10.0.0.1"),
        ({"xff": "1.1.1.1"}, "1.1.1.1"),
        ({"xff": "6.6.6.6, 1.1.1.1"}, "1.1.1.1"),
        ({"xff": "6.6.6.6, 1.1.1.1, 10.0.0.2"}, "1.1.1.1"),
        ({"xff": ["6.6.6.6", "1.1.1.1", "10.0.0.2,fd00::1"]}, "1.1.1.1"),
        ({"xff": "10.0.0.3, 10.0.0.2"}, "10.0.0.3"),
        ({"xff": "1.1.1.1:4711, [fd00::1]:80"}, "1.1.1.1"),
        ({"xff": "::ffff:1.1.1.1"}, "1.1.1.1"),
        ({"xff": "1.1.1.1, unknown, 10.0.0.2"}, "10.0.0.2"),
        ({"xff": "1.1.1.1, , 10.0.0.2"}, "10.0.0.2"),
        ({"xff": "junk"}, "10.0.0.1"),
        ({"xff": ""}, "10.0.0.1"),
        ({"xff": "1.1.1.1,"}, "10.0.0.1"),
        ({"fwd": "for=1.1.1.1"}, "1.1.1.1"),
        ({"fwd": 'For="[2001:db8::1]:4711";proto=https, for=10.0.0.2'}, "2001:db8::1"),
        ({"fwd": "for=6.6.6.6, for=1.1.1.1, for=10.0.0.2;by=_x"}, "1.1.1.1"),
        ({"fwd": "for=1.1.1.1, for=_hidden, for=10.0.0.2"}, "10.0.0.2"),
        ({"fwd": "for=1.1.1.1, for=unknown"}, "10.0.0.1"),
        ({"fwd": "proto=https"}, "10.0.0.1"),
        ({"fwd": ['for="', "for=1.1.1.1"]}, "1.1.1.1"),
        ({"fwd": 'for=", for=1.1.1.1'}, "1.1.1.1"),
        ({"fwd": 'for=6.6.6.6;x=", for="[2001:db8::1]";host="h"'}, "2001:db8::1"),
        ({"fwd": ["for=6.6.6.6", "for=junk;;", "for=10.0.0.2"]}, "10.0.0.2"),
        ({"fwd": "junk"}, "10.0.0.1"),
        ({"xff": "1.1.1.1", "fwd": "for=6.6.6.6"}, "1.1.1.1"),
    ],
)
def test_the_walk_ends_behind_the_last_trusted_hop(lines: dict[str, str], ip: str) -> None:
    assert FORWARDING.origin("10.0.0.1", fields(**lines)).ip == ip


def test_the_walk_has_an_end() -> None:
    far = ["1.1.1.1", *["10.0.0.2"] * MAX_HOPS]
    assert FORWARDING.origin("10.0.0.1", fields(xff=", ".join(far))).ip == "10.0.0.2"
    assert FORWARDING.origin("10.0.0.1", fields(xff=", ".join(far[:-1]))).ip == "1.1.1.1"


@pytest.mark.parametrize(
    ("lines", "proto", "host"),
    [
        ({}, None, None),
        ({"xfp": "https", "xfh": "a.b"}, b"https", b"a.b"),
        ({"xff": "1.1.1.1", "xfp": "HTTPS", "xfh": "a.b:8443"}, b"https", b"a.b:8443"),
        ({"xff": "1.1.1.1, 10.0.0.2", "xfp": "https, http", "xfh": "a, b"}, b"https", b"a"),
        ({"xff": "6.6.6.6, 1.1.1.1", "xfp": "https, http", "xfh": "evil, b"}, b"http", b"b"),
        ({"xff": "1.1.1.1, 10.0.0.2", "xfp": "https", "xfh": "a"}, b"https", b"a"),
        ({"xff": "1.1.1.1", "xfp": "https, http"}, b"http", None),
        ({"xfp": "gopher", "xfh": "a/b"}, None, None),
        ({"xfp": "", "xfh": 'a"b'}, None, None),
        ({"xfh": "[::1]:80"}, None, b"[::1]:80"),
        ({"fwd": 'for=1.1.1.1;proto=https;host="a.b:1", for=10.0.0.2;proto=http;host=c'}, b"https", b"a.b:1"),
        ({"fwd": "for=6.6.6.6;proto=https;host=evil, for=1.1.1.1;proto=http"}, b"http", None),
        ({"fwd": 'for=1.1.1.1;host="a b"'}, None, None),
        ({"xff": "1.1.1.1", "fwd": "for=1.1.1.1;proto=https;host=a"}, b"https", b"a"),
        ({"xff": "1.1.1.1", "fwd": "for=6.6.6.6;proto=https;host=evil"}, None, None),
    ],
)
def test_proto_and_host_are_what_the_last_trusted_proxy_saw(
    lines: dict[str, str], proto: bytes | None, host: bytes | None
) -> None:
    origin = FORWARDING.origin("10.0.0.1", fields(**lines))
    assert (origin.proto, origin.host) == (proto, host)


@pytest.mark.parametrize(
    ("lines", "hops", "forwarded"),
    [
        ({}, b"", b""),
        ({"xff": "6.6.6.6, 1.1.1.1"}, b"6.6.6.6, 1.1.1.1, ", b"for=1.1.1.1, "),
        (
            {"xff": ["a", "1.1.1.1"], "xfp": "https", "xfh": "h"},
            b"a, 1.1.1.1, ",
            b'for=1.1.1.1;host="h";proto=https, ',
        ),
        ({"fwd": "for=6.6.6.6, for=1.1.1.1"}, b"1.1.1.1, ", b"for=6.6.6.6, for=1.1.1.1, "),
        ({"fwd": ['for="', "for=1.1.1.1"]}, b"1.1.1.1, ", b"for=1.1.1.1, "),
        ({"fwd": 'for=", for=1.1.1.1'}, b"1.1.1.1, ", b"for=1.1.1.1, "),
        ({"fwd": 'for="'}, b"", b""),
        ({"xff": "1.1.1.1", "fwd": "for=6.6.6.6"}, b"1.1.1.1, ", b"for=1.1.1.1, "),
    ],
)
def test_the_gateway_adds_what_it_saw(lines: dict[str, str], hops: bytes, forwarded: bytes) -> None:
    made = sent(FORWARDING.origin("10.0.0.1", fields(**lines)), "10.0.0.1")
    assert made[b"X-Forwarded-For"] == hops + b"10.0.0.1"
    assert made[b"Forwarded"] == forwarded + b'for=10.0.0.1;host="api.x";proto=http'


HOP = st.one_of(
    st.sampled_from(["10.0.0.2", "fd00::1", "192.168.7.1", "1.1.1.1", "2001:db8::1", "unknown", "_x", "", '"', ";"]),
    st.ip_addresses().map(str),
    st.text(max_size=6),
)


def encodable(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1").replace(",", "")


@given(st.lists(HOP.map(encodable), max_size=6), st.lists(HOP.map(encodable), max_size=6))
def test_what_comes_before_a_stranger_changes_nothing(lies: list[str], hops: list[str]) -> None:
    truth = ["1.1.1.1", *hops]
    for told, untold in (
        (fields(xff=",".join([*lies, *truth])), fields(xff=",".join(truth))),
        (fields(xff=[",".join(lies), ",".join(truth)]), fields(xff=",".join(truth))),
    ):
        origin = FORWARDING.origin("10.0.0.1", told)
        assert origin.ip == FORWARDING.origin("10.0.0.1", untold).ip
        assert origin.ip in {"10.0.0.1", *filter(None, map(canonical_ip, map(str.strip, truth)))}


@given(st.text(max_size=30).map(encodable), st.sampled_from(["1.1.1.1", '"[2001:db8::1]"']))
def test_nor_does_an_open_quote(lie: str, client: str) -> None:
    element = f"for={client};host=h;proto=https"
    origin = FORWARDING.origin("10.0.0.1", fields(fwd=f"{lie}, {element}"))
    assert origin.ip == canonical_ip(client.strip('"'))
    parsed = parse_forwarded(sent(origin, "10.0.0.1")[b"Forwarded"].decode("latin-1"))
    assert parsed is not None
    assert parsed[-2:] == [
        {"for": client.strip('"'), "host": "h", "proto": "https"},
        {"for": "10.0.0.1", "host": "api.x", "proto": "http"},
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from([b"X-Forwarded-For", b"Forwarded", b"X-Forwarded-Proto"]), st.binary(max_size=30))
    )
)
def test_no_field_is_too_odd(received: list[Field]) -> None:
    made = sent(FORWARDING.origin("10.0.0.1", received), "10.0.0.1")
    assert made[b"X-Forwarded-Proto"] in (b"http", b"https")
    assert parse_forwarded(made[b"Forwarded"].decode("latin-1"))


# -- Forwarded ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("", []),
        (" , ,", []),
        ("for=a", [{"for": "a"}]),
        ("For=a;PROTO=b", [{"for": "a", "proto": "b"}]),
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
        ),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        ("for=a,,for=b ,", [{"for": "a"}, {"for": "b"}]),
        (r'x="a\"b\\,;c"', [{"x": 'a"b\\,;c'}]),
        ("for=1.2.3.4:80", [{"for": "1.2.3.4:80"}]),
        ('for=""', [{"for": ""}]),
        ("for", None),
        ("for=", None),
        ("=a", None),
        ("for=a;", None),
        ("for=a;;by=b", None),
        ("for=a;for=b", None),
        ('for="a', None),
        ('for="a"b', None),
        ("for=a b", None),
        ("for = a", None),
        ("f(r=a", None),
    ],
)
def test_forwarded_is_read_strictly(value: str, elements: list[dict[str, str]] | None) -> None:
    assert parse_forwarded(value) == elements


# -- Via ---------------------------------------------------------------------------------------------------------------


def test_via_is_added_to() -> None:
    assert via([(b"A", b"x")], b"1.1", b"gw") == b"1.1 gw"
    received = [(b"Via", b"1.0 fred"), (b"A", b"x"), (b"VIA", b"1.1 p.example.net (a, b)")]
    assert via(received, b"2.0", b"gw") == b"1.0 fred, 1.1 p.example.net (a, b), 2.0 gw"


def test_via_has_an_end() -> None:
    made = via([(b"Via", b"1.1 proxy" + b"x" * 100)] * 100, b"1.1", b"gw")
    assert len(made) <= MAX_VIA + 8
    entries = made.split(b", ")
    assert entries[-1] == b"1.1 gw"
    assert set(entries[:-1]) == {b"1.1 proxy" + b"x" * 100}
    assert via([(b"Via", b"x" * 5000)], b"1.1", b"gw") == b"1.1 gw"


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ([], 0),
        ([b"1.1 gw-1"], 1),
        ([b"1.0 a, 1.1 gw-1 (comment), 1.1 b"], 1),
        ([b"1.1 gw-1, HTTP/2.0 gw-1", b"1.1  gw-1"], 3),
        ([b"1.1 gw-12, 1.1 xgw-1, 1.1 gw-2"], 0),
        ([b"gw-1", b"1.1 a (gw-1)", b"gw-1 1.1"], 0),
    ],
)
def test_how_often_it_came_by(values: list[bytes], times: int) -> None:
    received = [(b"Host", b"gw-1"), *((b"vIa", value) for value in values)]
    assert loops(received, b"gw-1") is (times > 0)
    for limit in range(1, 5):
        assert loops(received, b"gw-1", limit) is (times >= limit)


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_what_was_sent_is_found_again(values: list[bytes]) -> None:
    made = via([(b"Via", value) for value in values], b"1.1", b"gw-1")
    assert loops([(b"Via", made)], b"gw-1")
