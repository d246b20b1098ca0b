import pytest

from apigw.config.loader import load, loads
from apigw.config.origins import ALLOWED_METHODS, FIELD_NAMES, ORIGINS
from apigw.config.problems import ConfigErrors


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.com", ("https://app.example.com",)),
        ("HTTPS://App.Example.com:443/", ("https://app.example.com",)),
        ("http://localhost:80, http://localhost:3000", ("http://localhost", "http://localhost:3000")),
        ("https://*.example.org", ("https://*.example.org",)),
        ("https://*.example.org:8443", ("https://*.example.org:8443",)),
        ("http://[2001:DB8:0::1]:8080", ("http://[2001:db8::1]:8080",)),
        ("app://local", ("app://local",)),
        ("*", ("*",)),
    ],
)
def test_origins_are_as_browsers_send_them(text, origins):
    assert ORIGINS.parse(text) == origins
    assert ORIGINS.parse(ORIGINS.render(origins)) == origins


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app.example.com", "write https://app.example.com"),
        ("https://app.example.com/path", "is not an origin"),
        ("https://a@b.test", "is not an origin"),
        ("https://*.com", "stands before a domain"),
        ("https://a.*.example.com", "is not an origin"),
        ("https://*.10.0.0.1", "stands before a domain"),
        ("https://a.test:99999", "has a port that is none"),
        ("null", "any sandboxed page"),
        ("https://a.test, https://A.test", "is here twice"),
    ],
)
def test_what_is_no_origin(text, said):
    with pytest.raises(ValueError, match=said):
        ORIGINS.parse(text)


def test_methods_and_fields():
    assert ALLOWED_METHODS.parse("*") == ("*",)
    assert ALLOWED_METHODS.parse("GET, PUT") == ("GET", "PUT")
    assert FIELD_NAMES.parse("X-A, X-B") == ("X-A", "X-B")
    with pytest.raises(ValueError, match="not the name of a field"):
        FIELD_NAMES.parse("X A")


def test_without_the_section_there_is_nothing():
    assert load(None, {}).cors is None


def test_the_environment_alone_is_enough():
    cors = load(None, {"CORS_ORIGINS": "http://localhost:3000,https://app.example.com"}).cors
    assert cors is not None
    assert cors.origins == ("http://localhost:3000", "https://app.example.com")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cors]\ncredentials = yes\n", "f:1: [cors] origins: is missing"),
        ("[cors]\norigins = *\ncredentials = yes\n", "f:2: [cors] origins: '*'"),
        ("[cors]\norigins = *, https://a.test\n", "f:2: [cors] origins: '*' is any origin"),
        ("[cors]\norigins = https://a.test\ncredentials = yes\nexpose = *\n", "f:4: [cors] expose: '*'"),
    ],
)
def test_what_would_have_no_effect_is_an_error(text, said):
    with pytest.raises(ConfigErrors) as caught:
        loads(text, "f", {})
    assert said in str(caught.value)
