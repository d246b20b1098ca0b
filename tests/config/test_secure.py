"""Where clients without TLS are led to."""

import pytest

from apigw.config.secure import REDIRECT, STRICT_TRANSPORT


@pytest.mark.parametrize(("text", "port"), [("https", 443), ("https:8443", 8443)])
def test_redirects(text, port):
    assert REDIRECT.parse(text) == port
    assert REDIRECT.render(port) == text


@pytest.mark.parametrize("text", ["yes", "http", "https:", "https:0", "https:65536", "https://a.test"])
def test_no_redirects(text):
    with pytest.raises(ValueError, match="is not https or https:PORT"):
        REDIRECT.parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1h", "max-age=3600"),
        ("365d includeSubDomains", "max-age=31536000; includeSubDomains"),
        ("365d includeSubDomains preload", "max-age=31536000; includeSubDomains; preload"),
    ],
)
def test_strict_transport(text, value):
    assert STRICT_TRANSPORT.parse(text) == value
    assert STRICT_TRANSPORT.parse(STRICT_TRANSPORT.render(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("31536000", "has no unit"),
        ("1d subdomains", "'subdomains' is not includeSubDomains or preload"),
        ("1d includeSubDomains includeSubDomains", "says something twice"),
        ("1d includeSubDomains preload", "preload needs 365d"),
        ("365d preload", "preload needs 365d or more, and includeSubDomains"),
    ],
)
def test_no_strict_transport(text, message):
    with pytest.raises(ValueError, match=message):
        STRICT_TRANSPORT.parse(text)
