from __future__ import annotations

import pytest

from apigw.admin.access import AdminAccess, AdminForbidden, AdminTokenNeeded, is_loopback
from apigw.errors import GatewayError
from apigw.messages import ClientAddress, Exchange, Field, Request

TOKEN = b"0123456789abcdef"
RIGHT = (b"Authorization", b"Bearer " + TOKEN)


def exchange(*fields: Field, host: str = "127.0.0.1", authority: bytes = b"localhost:9900") -> Exchange:
    client = ClientAddress(host, 1, b"http")
    request = Request(b"GET", b"/", b"/", b"", authority, list(fields), (), b"1.1", client, {})
    return Exchange(request, None, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"Bearer " + TOKEN, b"bearer  " + TOKEN])
def test_the_token_lets_in(value: bytes):
    AdminAccess(TOKEN).check(exchange((b"authorization", value), host="192.0.2.7", authority=b"gw.example"))


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((b"Authorization", TOKEN),),
        ((b"Authorization", b"Basic " + TOKEN),),
        ((b"Authorization", b"Bearer " + TOKEN[:-1]),),
        ((b"Authorization", b"Bearer " + TOKEN + b"f"),),
        ((b"Authorization", b"Bearer "),),
        (RIGHT, RIGHT),
        (RIGHT, (b"Authorization", b"Bearer other")),
    ],
)
def test_all_else_is_refused_even_from_this_machine(fields: tuple[Field, ...]):
    with pytest.raises(AdminTokenNeeded) as caught:
        AdminAccess(TOKEN).check(exchange(*fields))
    assert caught.value.status == 401
    assert caught.value.fields == ((b"WWW-Authenticate", b'Bearer realm="apigw admin"'),)


def test_no_token_is_never_a_right_token():
    assert not AdminAccess(b"").has_token(exchange((b"Authorization", b"Bearer ")))


@pytest.mark.parametrize("authority", [b"localhost:9900", b"127.0.0.1:9900", b"[::1]:9900", b"LOCALHOST", b"127.8.8.8"])
def test_without_a_token_names_of_this_machine_do(authority: bytes):
    AdminAccess(b"").check(exchange(authority=authority))


@pytest.mark.parametrize("authority", [b"evil.example:9900", b"10.0.0.1", b"[2001:db8::1]", b"localhost.evil.example"])
def test_a_strangers_name_for_this_machine_does_not(authority: bytes):
    with pytest.raises(AdminForbidden):
        AdminAccess(b"").check(exchange(authority=authority))


RELAYED = [
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"forwarded", b"for=x"),
    (b"X-Real-IP", b"192.0.2.1"),
    (b"via", b"1.1 a"),
]


@pytest.mark.parametrize("token", [b"", TOKEN])
def test_details_on_public_listeners(token: bytes):
    access = AdminAccess(token)
    refusal: type[GatewayError] = AdminTokenNeeded if token else AdminForbidden
    access.check_public(exchange())
    access.check_public(exchange(host="::1"))
    for refused in (
        exchange(host="192.0.2.7"),
        exchange(authority=b"gw.example"),
        *(exchange(field) for field in RELAYED),
    ):
        with pytest.raises(refusal):
            access.check_public(refused)
    if token:
        access.check_public(exchange(RIGHT, host="192.0.2.7", authority=b"gw.example"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("", True), ("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.example", False)],
)
def test_loopback(host: str, loopback: bool):
    assert is_loopback(host) is loopback
