"""What hypothesis feeds to the parsers: valid messages, messages gone wrong, and bytes cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /?q=[1] HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: [::1]:8080\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"
    b'5;a=b;c="d"\r\nhello\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n',
)

RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 x\r\nContent-Length: 5\r\nETag: a\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 \r\nConnection: close\r\n\r\nab",
    b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
)

_WORDS = (
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\x0c",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\r\n ",
        b"\r\n\r\n",
    ),
    *(b":", b",", b";", b"=", b'"', b"\\", b"#", b"?", b"/", b"*", b"@", b"+", b"-", b"_", b"%00", b"[::1]"),
    *(b"0", b"5", b"F", b"0x", b"ffffffffffffffff", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n"),
    *(
        b"Connection: close\r\n",
        b"Proxy-Connection: close\r\n",
        b"Expect: x\r\n",
        b"Upgrade: h2c\r\n",
        b"X: y\r\n",
    ),
    *(
        b"chunked",
        b"identity",
        b"gzip",
        b"close",
        b"keep-alive",
        b"CONNECT",
        b"HEAD",
        b" 204",
        b" 304",
        b" 101",
    ),
    *(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
)
"""What parsers have been found to disagree about."""


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after up to three edits: something put in, out or elsewhere, or a line said twice."""
    wire = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(wire)))
        edit = draw(st.sampled_from(("insert", "insert", "replace", "delete", "byte", "repeat")))
        if edit == "insert":
            wire = wire[:at] + draw(st.sampled_from(_WORDS)) + wire[at:]
        elif edit == "replace":
            wire = wire[:at] + draw(st.sampled_from(_WORDS)) + wire[at + draw(st.integers(1, 8)) :]
        elif edit == "delete":
            wire = wire[:at] + wire[at + draw(st.integers(1, 4)) :]
        elif edit == "byte":
            wire = wire[:at] + bytes([draw(st.integers(0, 255))]) + wire[at + 1 :]
        else:
            lines = wire.split(b"\r\n")
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
            wire = b"\r\n".join(lines)
    return wire


@st.composite
def cut(draw: st.DrawFn, wires: st.SearchStrategy[bytes]) -> list[bytes]:
    """The bytes of a wire in pieces, now and then one by one."""
    wire = draw(wires)
    if draw(st.integers(0, 4)) == 0:
        return [wire[at : at + 1] for at in range(len(wire))]
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


_TCHAR = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

tokens = st.lists(st.sampled_from(_TCHAR), min_size=1, max_size=20).map(bytes)
field_values = (
    st.lists(st.sampled_from([9, *range(32, 127), *range(128, 256)]), max_size=40)
    .map(bytes)
    .map(lambda value: value.strip(b" \t"))
)
_FRAMING = (b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade")
plain_fields = st.lists(st.tuples(tokens.filter(lambda name: name.lower() not in _FRAMING), field_values), max_size=12)
"""Fields that say nothing about where the message ends."""
