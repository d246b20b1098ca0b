"""The PROXY header, split anywhere, and bytes that are none."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.proxy_protocol import (
    MAX_BLOCK,
    MAX_LINE,
    SIGNATURE,
    BadProxyHeader,
    ProxyHeader,
    parse_proxy_header,
)

PORTS = st.integers(0, 65535)


def binary(command, family, block, length=None):
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(block) if length is None else length) + block


def text(source, target, sport, dport):
    version = ip_address(source).version
    return f"PROXY TCP{version} {source} {target} {sport} {dport}\r\n".encode()


def packed(source, target, sport, dport, more=b""):
    block = ip_address(source).packed + ip_address(target).packed + struct.pack("!HH", sport, dport) + more
    return binary(0x21, 0x11 if ip_address(source).version == 4 else 0x21, block)


@given(
    st.sampled_from([text, packed]),
    st.sampled_from((4, 6)).flatmap(lambda v: st.tuples(*[st.ip_addresses(v=v)] * 2)),
    PORTS,
    PORTS,
    st.binary(max_size=9),
)
@settings(max_examples=60)
def test_addresses_whatever_the_pieces(write, addresses, sport, dport, rest):
    source, target = map(str, addresses)
    header = write(source, target, sport, dport)
    for end in range(len(header)):
        assert parse_proxy_header(header[:end]) is None
    assert parse_proxy_header(header + rest) == ProxyHeader(len(header), source, sport)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        binary(0x20, 0x00, b""),
        binary(0x20, 0x11, bytes(12)),
        binary(0x20, 0x11, b"tlv"),
        binary(0x21, 0x00, b"tlv"),
        binary(0x21, 0x31, bytes(216)),
        binary(0x21, 0x12, bytes(12)),
    ],
)
def test_connections_without_a_client(header):
    for end in range(len(header)):
        assert parse_proxy_header(header[:end]) is None
    assert parse_proxy_header(header + b"x") == ProxyHeader(len(header))


def test_more_than_addresses():
    header = packed("10.0.0.1", "10.0.0.2", 1, 2, b"\x01\x00\x02h2")
    assert parse_proxy_header(header) == ProxyHeader(len(header), "10.0.0.1", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY\t",
        b"proxy TCP4",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n",
        b"PROXY TCP4 10.0.0.1  10.0.0.2 1 2\r\n",
        b"PROXY TCP4 10.0.0.256 10.0.0.2 1 2\r\n",
        b"PROXY TCP4 10.0.0.01 10.0.0.2 1 2\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 65536 2\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n",
        b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\rx\r\n",
        b"PROXY " + b"x" * MAX_LINE,
        b"PROXY UNKNOWN " + b"x" * MAX_LINE + b"\r\n",
        SIGNATURE[:-1] + b"x",
        binary(0x11, 0x11, bytes(12)),
        binary(0x22, 0x11, bytes(12)),
        binary(0x21, 0x11, bytes(11)),
        binary(0x21, 0x21, bytes(35)),
        binary(0x21, 0x31, bytes(215)),
        binary(0x21, 0x11, b"", MAX_BLOCK + 1),
    ],
)
def test_what_is_none(data):
    with pytest.raises(BadProxyHeader):
        parse_proxy_header(data)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [SIGNATURE, b"PROXY ", b"TCP4 ", b"10.0.0.1 ", b"1", b"\r\n", b"\x21\x11\x00\x0c", b"UNKNOWN"]
            ),
        ),
        max_size=8,
    )
)
@settings(max_examples=200)
def test_anything(pieces):
    data = b"".join(pieces)
    try:
        header = parse_proxy_header(data)
    except BadProxyHeader:
        return
    if header is None:
        assert len(data) < 16 + MAX_BLOCK
    else:
        assert 0 < header.size <= len(data)
        assert header.host is None or str(ip_address(header.host)) == header.host
        assert 0 <= header.port <= 65535
