"""What a service gets of a request, and what a client gets of an answer."""

from __future__ import annotations

import pytest

from tests.wire.conftest import Connect
from tests.wire.sockets import Service

OK = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    "target",
    [
        b"/a?x=[1]",
        b"/p?",
        b"/a?b=c%20d&e=%C3%BC&&=",
        b"/a?q=http://h/?x",
        b"/a%2Fb",
        b"/a//b",
        b"/a/",
        b"/",
        b"/?",
        b"/%61",
        b"/a|b^c`{d}",
        b"/a;v=1?x;y",
        b"/~a'()*!$,@:",
    ],
)
def test_the_target_goes_on_byte_for_byte(client: Connect, service: Service, target: bytes) -> None:
    wire = client()
    wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    there = service.accept()
    assert there.request().first == b"GET " + target + b" HTTP/1.1"
    there.send(OK)
    assert wire.answer().body == b"hi"
