"""``http2`` of a listener, and ``[http2]``."""

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from apigw.policy.http2 import Allowed, Http2Limits
from tests.authority import Authority, write
from tests.examples import ini_examples


def test_what_is_not_said_is_what_the_limits_are_by_themselves():
    assert loads("", "f", {}).http2.limits == Http2Limits()


def test_all_of_it():
    config = loads(
        "[http2]\nmax_streams = 5\nresets = 10/m burst 3\npings = 1/s\nsettings = 2/s\nidle_frames = 3/s\n"
        "max_continuations = 0\nwindow = 64KiB\nconnection_window = 2MiB\n",
        "f",
        {},
    )
    assert config.http2.limits == Http2Limits(
        5,
        Allowed(10 / 60, 3),
        Allowed(1.0, 1),
        Allowed(2.0, 2),
        Allowed(3.0, 3),
        0,
        65536,
        2 * 1024**2,
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("resets = off", "'off' would let any client stop the gateway"),
        ("max_streams = 0", "max_streams"),
        ("window = 1KiB", "is not from 64KiB to 16MiB"),
    ],
)
def test_what_would_be_no_bound(line, message):
    with pytest.raises(ConfigErrors, match=message):
        loads(f"[http2]\n{line}\n", "f", {})


def test_listeners_speak_it_with_tls_unless_they_say_otherwise():
    def speaks(more: str) -> bool:
        [listener] = loads(f"[listener:a]\n{more}", "f", {}).listeners
        return listener.speaks_http2

    assert not speaks("")
    assert speaks("http2 = yes\n")


def test_the_example_in_the_documentation(tmp_path):
    root = Authority("root")
    write(tmp_path / "a.pem", root.issue("a.test"))
    [text] = ini_examples("operations/http2.md")
    config = loads(text.replace("/etc/apigw/tls", str(tmp_path)), "f", {})
    assert [listener.speaks_http2 for listener in config.listeners] == [True, True]
    assert config.http2.max_streams == 250
    text = text.replace("/etc/apigw/tls", str(tmp_path)).replace("http2 = yes", "http2 = no")
    config = loads(text.replace("tls = yes", "tls = yes\nhttp2 = no"), "f", {})
    assert [listener.speaks_http2 for listener in config.listeners] == [False, False]
