"""What a request costs, as calls and not as time: the same on every machine, so that a ceiling can hold it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import apigw
import twisted
from apigw.testing import MemoryGateway, Reply
from tests.tokens import private_key, public_pem, signed

GATEWAY = str(Path(apigw.__file__).parent)
TWISTED = str(Path(twisted.__file__).parent)
ENDS = (f"{GATEWAY}/testing", f"{TWISTED}/internet/task.py", f"{TWISTED}/internet/base.py")
"""The far ends of the connections in memory, and the clock: no part of what is counted."""

WARM = 20
"""Requests before the one that is counted: they connect, and fill what is made once."""

BARE = """\
[gateway]
access_log = off
[service:a]
urls = http://10.0.0.1:80
[route:a]
path = /
service = a
"""

FULL = """\
[gateway]
security_headers = api
[jwt]
algorithms = RS256
public_key_file = {key}
[identity]
secret_env = SECRET
[cors]
origins = https://app.example.com
credentials = yes
[limits]
ip = 1000000/m
user = 1000000/m
[tracing]
otlp_endpoint = http://127.0.0.1:9/v1/traces
sample = 0%
[service:a]
urls = http://10.0.0.1:80
[route:a]
path = /
service = a
auth = required
scopes = read
limit.route = 1000000/m
"""

CEILINGS = [("bare", 0, 175), ("bare", 1, 265), ("full", 0, 290), ("full", 1, 475)]
"""A tenth above what there was when they were set; to be lowered where the path gets shorter."""

BROKEN = """\
{name}: a request makes {calls} calls, and at most {most} are allowed.
Most of them are in
{where}
If the path of every request does more than it did, let it do less: decide when the route is built, make once what
recurs. Where a feature is worth its calls, raise the ceiling in CEILINGS and say why in the commit."""


def calls(gateway: MemoryGateway, headers: dict[str, str], number: int) -> Counter[str]:
    """Calls that the gateway makes, in Python and into C, for request ``number`` on a kept connection."""

    def request(number: int) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        own = f"Host: gateway.test\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: session={number}\r\n"
        return f"GET /users/{number}?page={number} HTTP/1.1\r\n{own}{lines}\r\n".encode()

    call = gateway.begin("GET", "/users", headers)
    assert call.answer is not None
    assert call.answer.status == 200
    assert call.end is not None
    for _ in range(WARM):
        call.end.feed(request(0))
        gateway.advance(0)
    answered = len(gateway.asked)
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event in ("call", "c_call") and file.startswith((GATEWAY, TWISTED)) and not file.startswith(ENDS):
            counted[file.removeprefix(GATEWAY)] += 1

    call.end.feed(request(number))
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        gateway.advance(0)
    finally:
        sys.setprofile(before)
    assert len(gateway.asked) == answered + 1
    return counted


@pytest.mark.parametrize(("name", "number", "most"), CEILINGS)
def test_a_request_makes_no_more_calls_than(name: str, number: int, most: int, tmp_path: Path) -> None:
    """Number 0 has the same head as those before it on its connection, number 1 one that was never seen."""
    key = tmp_path / "issuer.pem"
    key.write_bytes(public_pem("rsa"))
    ini = BARE if name == "bare" else FULL.format(key=key)
    gateway = MemoryGateway(ini, {"10.0.0.1:80": lambda asked: Reply(200, b"{}")}, {"SECRET": "0123456789abcdef" * 4})
    token = signed({"scope": "read"}, "RS256", private_key("rsa")).decode()
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://app.example.com"} if name == "full" else {}
    counted = calls(gateway, headers, number)
    made = counted.total()
    where = "\n".join(f"  {number:4} {file}" for file, number in counted.most_common(10))
    assert made <= most, BROKEN.format(name=name, calls=made, most=most, where=where)
