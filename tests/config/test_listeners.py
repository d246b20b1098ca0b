"""Options of listeners and hosts that need each other."""

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from tests.authority import Authority, write


@pytest.fixture
def wrong(tmp_path):
    root = Authority("root")
    write(tmp_path / "ca.pem", root.pem)
    write(tmp_path / "some.pem", root.issue("a.test"))

    def errors(text):
        with pytest.raises(ConfigErrors) as caught:
            loads(text.replace("DIR", str(tmp_path)), "gw.ini", {})
        return [str(error) for error in caught.value.errors]

    return errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls = yes", "certificates: is missing, tls = yes needs it"),
        ("certificates = DIR/some.pem", "certificates: is of no use without tls = yes"),
        ("client_auth = required\nclient_ca = DIR/ca.pem", "client_auth: is of no use without tls = yes"),
        ("tls = yes\ncertificates = DIR/some.pem\nclient_auth = optional", "client_ca: is missing"),
        ("tls = yes\ncertificates = DIR/some.pem\nclient_ca = DIR/ca.pem", "client_ca: is of no use with"),
        ("tls = yes\ncertificates = DIR/some.pem\nredirect = https", "redirect: is for listeners without TLS"),
        ("tls = yes\ncertificates = DIR/ca.pem", "ca.pem holds no private key"),
        ("proxy_protocol = yes", "proxy_protocol: counts for trusted_proxies alone"),
        ("[host:a.test]\nclient_auth = required", "[host:a.test] client_ca: is missing"),
    ],
)
def test_what_is_missing_or_too_much(wrong, text, message):
    [error] = wrong("[listener:a]\n" + text)
    assert message in error
