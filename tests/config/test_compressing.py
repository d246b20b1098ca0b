import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors

ROUTE = "[service:user]\nurls = http://a\n[route:users]\npath = /\nservice = user\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("on", "on"), ("yes", "on"), ("True", "on"), ("off", "off"), ("no", "off"), ("public", "public")],
)
def test_words(text, value):
    assert loads(f"{ROUTE}compression = {text}\n", "f", {}).routes[0].compression == value


def test_other_words():
    with pytest.raises(ConfigErrors, match="'gzip' is not on, off or public"):
        loads(f"{ROUTE}compression = gzip\n", "f", {})


def test_types():
    [route] = loads(f"{ROUTE}compress.types = text/*, +JSON, image/svg+xml\n", "f", {}).routes
    assert route.compress.types == ("text/*", "+json", "image/svg+xml")
    for wrong in ("*", "text", "*/*", "text/html; charset=x", "+"):
        with pytest.raises(ConfigErrors, match="is not a media type"):
            loads(f"{ROUTE}compress.types = {wrong}\n", "f", {})
