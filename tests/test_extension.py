"""What stages from elsewhere may count on."""

from __future__ import annotations

import pytest

import apigw.extension
from apigw.extension import tell_service
from tests.kit import asking

FROZEN = """
    Attempt ClientAddress ClientError Exchange Explained Field Fields GatewayError Principal Refused Request Response
    Stage UpstreamError Verdict answer field_value field_values tell_service
"""


def test_the_names_stay() -> None:
    assert set(FROZEN.split()) == set(apigw.extension.__all__)
    assert all(hasattr(apigw.extension, name) for name in FROZEN.split())


def test_the_service_is_told_in_place_of_the_client() -> None:
    exchange = asking()
    exchange.request.replace_fields([(b"x-shop", b"forged"), (b"Accept", b"*/*")])
    tell_service(exchange, b"X-Shop", b"apples")
    assert exchange.request.fields == [(b"Accept", b"*/*")]
    assert exchange.lines == b"X-Shop: apples\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X Shop", b"a"),
        (b"X-Shop", b"a\r\nX-User-ID: root"),
        (b"X-Shop", b"a\0"),
        (b"Content-Length", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Host", b"elsewhere"),
    ],
)
def test_what_is_no_field_is_not_sent(name: bytes, value: bytes) -> None:
    exchange = asking()
    with pytest.raises(ValueError):
        tell_service(exchange, name, value)
    assert exchange.lines == b""
