from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.display import show
from apigw.config.loader import load, loads
from apigw.config.problems import ConfigErrors

ROOT = Path(__file__).parents[2]


def test_each_value_has_its_origin():
    text = "[gateway]\nmax_body = 2048\n"
    lines = show(loads(text, "gw.ini", {"PORT": "99", "APIGW__GATEWAY__HEADER_TIMEOUT": "3s"})).split("\n")
    for line in (
        "[gateway]",
        "max_body = 2KiB  ; gw.ini:2",
        "header_timeout = 3s  ; $APIGW__GATEWAY__HEADER_TIMEOUT",
        "keepalive_timeout = 60s  ; default",
        "; trusted_proxies: none  ; default",
        "[listener:default]",
        "endpoint = tcp:99  ; $PORT",
        "[demo]",
        "enabled = no  ; default",
    ):
        assert line in lines


def test_variables_without_a_use_are_told_without_their_values():
    shown = show(load(None, {"REDIS_URL": "redis://:hunter2@r"}))
    assert "; $REDIS_URL is set, but not used by this version\n" in shown
    assert "hunter2" not in shown


def test_secrets_are_masked():
    text = "[service:user]\nurls = http://a\n[route:users]\nservice = user\npath = /u\nheaders = X-Key: ${API_KEY}\n"
    shown = show(loads(text, "f", {"API_KEY": "hunter2"}))
    assert "headers = ***  ; f:6\n" in shown
    assert "hunter2" not in shown


def test_fields_with_commas_are_shown_by_line():
    text = "[service:user]\nurls = http://a\n[route:users]\nservice = user\npath = /u\nheaders =\n  X: a, $${b}\n"
    config = loads(text, "f", {})
    assert "headers =  ; f:6\n    x: a, $${b}\n" in show(config)
    assert loads(show(config), "g", {}) == config


@pytest.mark.parametrize("name", ["gw.ini", "gw.reference.ini"])
def test_what_is_shown_says_the_same(name):
    config = load(str(ROOT / "etc" / name), {})
    assert loads(show(config), "shown", {}) == config


LINES = st.sampled_from(
    [
        "max_queue = 7",
        "timeout.idle = 90s",
        "timeout.total = 100m",
        "max_connections = 1",
        "preserve_host = off",
        "queue_timeout = 1.5ms",
        "tls.server_name = A.b",
    ]
)


@given(st.lists(LINES, unique_by=lambda line: line.split()[0]), st.integers(1, 65535), st.integers(1, 9))
def test_any_service_shown_says_the_same(lines, port, weight):
    text = "\n".join(["[service:user]", f"urls = http://[::1]:{port} weight={weight}, unix:/s", *lines])
    try:
        config = loads(text, "f", {})
    except ConfigErrors as errors:
        raise AssertionError(str(errors)) from errors
    assert loads(show(config), "shown", {}) == config
