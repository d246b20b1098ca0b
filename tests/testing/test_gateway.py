"""The gateway in memory that users test with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from time import time

import jwt
import pytest

import apigw.testing
from apigw.config import ConfigErrors
from apigw.testing import CUT, HANG, REFUSE, Asked, MemoryGateway, Reply

ROOT = Path(__file__).parent.parent.parent

INI = """\
[service:a]
urls = http://10.0.0.1:80, http://10.0.0.2:80
timeout.first_byte = 1s
breaker.consecutive = 2
breaker.open_for = 30s
[route:a]
path = /
service = a
"""


def echo(asked: Asked) -> Reply:
    return Reply(200, f"{asked.peer} {asked.method} {asked.target} ".encode() + asked.body, {"X-Own": "yes"})


def both(ini: str = INI, service=echo, **more) -> MemoryGateway:
    return MemoryGateway(ini, {"10.0.0.1:80": service, "10.0.0.2:80": service}, **more)


def test_requests_and_answers_pass_whole() -> None:
    gateway = both()
    answer = gateway.ask("POST", "/x?y=1", {"Content-Type": "text/plain"}, b"body" * 10_000)
    assert answer.status == 200
    assert answer.headers["x-own"] == "yes"
    assert answer.body.endswith(b"POST /x?y=1 " + b"body" * 10_000)
    [asked] = gateway.asked
    assert asked.headers["x-forwarded-for"] == "203.0.113.7"
    [line] = gateway.log
    assert (line["path"], line["status"], line["client_ip"]) == ("/x?y=*", 200, "203.0.113.7")
    assert gateway.ask("HEAD", "/").body == b""
    assert gateway.ask("OPTIONS", "*").status == 204


def test_what_fails_is_as_in_life() -> None:
    gateway = MemoryGateway(INI, {"10.0.0.1:80": CUT, "10.0.0.2:80": echo})
    for _ in range(4):
        call = gateway.begin("GET", "/")
        gateway.advance(1.0)  # before the other peer is tried
        assert call.answer is not None
        assert call.answer.status == 200
    gateway.services["10.0.0.2:80"] = REFUSE
    failed = gateway.begin("GET", "/")
    gateway.advance(5.0)
    assert failed.answer is not None
    assert failed.answer.status in (502, 503)


def test_time_is_the_tests() -> None:
    gateway = both(service=HANG)
    call = gateway.begin("POST", "/")
    gateway.advance(0.9)
    assert call.answer is None
    gateway.advance(0.2)
    assert call.answer is not None
    assert (call.answer.status, call.answer.json()["code"]) == (504, "upstream-first-byte-timeout")
    with pytest.raises(AssertionError, match="no answer yet"):
        gateway.get("/")


def test_a_reply_may_take_its_time() -> None:
    gateway = both(service=lambda asked: Reply(200, b"late", after=0.5))
    call = gateway.begin("GET", "/")
    assert call.answer is None
    gateway.advance(0.5)
    assert call.answer is not None
    assert call.answer.body == b"late"


def test_breakers_open_and_close_with_the_clock() -> None:
    gateway = both(service=lambda asked: Reply(500))
    for _ in range(8):
        gateway.begin("POST", "/")
    before = len(gateway.asked)
    assert gateway.begin("POST", "/").answer is not None
    assert len(gateway.asked) == before  # all breakers are open
    gateway.services.update({"10.0.0.1:80": echo, "10.0.0.2:80": echo})
    gateway.advance(31.0)
    assert gateway.ask("POST", "/").status == 200


def test_a_client_may_go_away() -> None:
    gateway = both(service=HANG)
    call = gateway.begin("GET", "/")
    call.close()
    gateway.advance(0.0)
    assert gateway.log[-1]["error"] == "client-disconnected"


def test_tokens_expire_with_the_clock() -> None:
    ini = INI + "auth = required\n[jwt]\nsecret_env = SECRET\n"
    gateway = both(ini, environ={"SECRET": "s" * 32})
    token = jwt.encode({"sub": "u", "exp": int(time()) + 300}, "s" * 32, "HS256")
    bearer = {"Authorization": f"Bearer {token}"}
    assert gateway.get("/").status == 401
    assert gateway.get("/", bearer).status == 200
    gateway.advance(400.0)
    assert gateway.get("/", bearer).status == 401


def test_a_wrong_configuration_is_told() -> None:
    with pytest.raises(ConfigErrors, match=r"test.ini:1: \[service:a\] urls: is missing"):
        MemoryGateway("[service:a]\n")


def test_the_names_stay() -> None:
    assert set(apigw.testing.__all__) == {"CUT", "HANG", "REFUSE", "Answer", "Asked", "Call", "MemoryGateway", "Reply"}


def test_the_page_and_the_example_hold(tmp_path: Path) -> None:
    [page] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/testing.md").read_text("utf-8"), re.M | re.S)
    (tmp_path / "test_page.py").write_text(page)
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    ended = subprocess.run(
        [*run, str(tmp_path / "test_page.py"), str(ROOT / "examples/test_tenants.py")],
        cwd=ROOT / "examples",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
