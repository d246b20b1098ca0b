"""What fallback.* takes."""

from __future__ import annotations

import pytest

from apigw.config import ConfigErrors
from apigw.config.fallback import MAX_FILE
from apigw.config.loader import loads
from tests.examples import ini_examples

SERVICE = "[service:music]\nurls = http://10.0.0.1:1\n"


def test_the_example_of_the_documentation():
    [text] = ini_examples("stages/breaker.md")
    [service] = loads(text, "f", {}).services
    own = service.fallback
    assert (own.content, own.type, own.status) == (b'{"tracks": []}', "application/json", 200)


def test_a_file(tmp_path):
    (tmp_path / "page").write_bytes(b"<p>later")
    [service] = loads(f"{SERVICE}fallback.file = {tmp_path}/page\nfallback.type = text/html\n", "f", {}).services
    assert service.fallback.content == b"<p>later"


def test_none_is_the_default():
    [service] = loads(SERVICE, "f", {}).services
    assert service.fallback.content is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fallback.file = none", "can't be read: No such file"),
        ("fallback.file = big", f"{MAX_FILE} are allowed"),
        ("fallback.type = json", "'json' is not a media type, such as application/json"),
        ("fallback.status = 600", "600"),
        ("fallback.body = x\nfallback.file = small", "fallback.body is there too, keep one of the two"),
    ],
)
def test_mistakes(text, message, tmp_path, monkeypatch):
    (tmp_path / "big").write_bytes(b"x" * (MAX_FILE + 1))
    (tmp_path / "small").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigErrors) as caught:
        loads(f"{SERVICE}{text}\n", "f", {})
    [error] = caught.value.errors
    assert message in str(error)
