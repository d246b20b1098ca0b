"""Sticky cookies, hedges and adaptive limits of a service, as files say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from apigw.config.display import show
from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from tests.examples import ini_examples

SERVICE = "[route:users]\npath = /\nservice = user\n[service:user]\nurls = http://a, http://b\n"
SECRET = {"S": "0123456789abcdef"}


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        loads(SERVICE + text, "f", SECRET | {"SHORT": "0123456789abcde"})
    return [line.partition(": ")[2] for line in str(caught.value).split("\n")]


def test_all_of_it_is_off_by_default() -> None:
    service = loads(SERVICE, "f", {}).services[0]
    assert (service.sticky.cookie, service.hedge.after, service.adaptive.limit) == (None, None, None)


def test_what_a_file_says() -> None:
    text = (
        "sticky.cookie = peer\nsticky.secret_env = S\nsticky.max_age = 1h\nhedge.after = 95%\nhedge.samples = 10\n"
        "adaptive.limit = 50\nadaptive.tolerance = 100%\n[route:low]\npath = /low\nservice = user\npriority = low\n"
    )
    config = loads(SERVICE + text, "f", SECRET)
    service = config.services[0]
    assert (service.sticky.cookie, service.sticky.secret, service.sticky.max_age) == ("peer", b"0123456789abcdef", 3600)
    assert (service.hedge.after, service.hedge.samples) == (0.95, 10)
    assert (service.adaptive.limit, service.adaptive.tolerance) == (50, 1.0)
    assert {route.name: route.priority for route in config.routes} == {"users": "normal", "low": "low"}
    assert "0123456789abcdef" not in "\n".join(show(config))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sticky.cookie = a b", "sticky.cookie: 'a b' is not the name of a cookie"),
        ("sticky.cookie = a", "sticky.cookie: needs a secret to be signed with"),
        ("sticky.secret_env = S", "sticky.secret_env: is of no use without sticky.cookie"),
        ("sticky.cookie = a\nsticky.secret_env = SHORT", "sticky.secret_env: has 15 bytes, make one of 16 or more"),
        ("sticky.cookie = a\nsticky.secret_env = S\nsticky.max_age = 10ms", "sticky.max_age: cookies count whole"),
        ("hedge.after = 100%", "hedge.after: is a share of requests"),
        ("hedge.after = 0%", "hedge.after: is a share of requests"),
        ("adaptive.limit = 3", "adaptive.limit: is not between adaptive.lowest = 4 and adaptive.highest = 1000"),
    ],
)
def test_what_cannot_work_is_said(text: str, problem: str) -> None:
    assert any(problem in line for line in problems(text)), problems(text)


def test_the_examples_are_right(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef")
    secret.chmod(0o600)
    for page in ("retries", "adaptive", "balancing"):
        for text in ini_examples(f"stages/{page}.md"):
            loads(text.replace("/etc/apigw/sticky-secret", str(secret)), "f", {})
