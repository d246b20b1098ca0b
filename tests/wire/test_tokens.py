"""A real gateway and a real issuer: keys come, rotate and fail, and nothing secret is written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from apigw.identity import verify
from tests.tokens import jwk, key_set, private_key, public_pem, signed
from tests.wire.gateway import BOUND, Gateway
from tests.wire.server import Server
from tests.wire.sockets import Message, connect

OK = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nhi"
SECRET = "internal-0123456789abcdef"

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{service}
retry.attempts = 1
[jwt]
jwks_url = http://127.0.0.1:{issuer}/keys
issuer = https://login.example/
audience = api
jwks_min_interval = 20ms
token.query = access_token
[issuer:partner]
issuer = partner
public_key_file = {pem}
[identity]
secret_env = INTERNAL_SERVICE_SECRET
[route:users]
path = /
service = user
auth = required
[route:admin]
path = /admin
service = user
auth = required
roles = admin
[route:open]
path = /open
service = user
auth = optional
"""


@pytest.fixture
def issuer() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def token(number: int, **claims: object) -> bytes:
    whole = {"iss": "https://login.example/", "aud": "api", "ssn": "claim-hidden"} | claims
    return signed(whole, "ES256", private_key("p256", number), {"kid": f"k{number}"})


def ask(gateway: Gateway, path: bytes, bearer: bytes | None) -> Message:
    wire = connect(gateway.port)
    field = b"" if bearer is None else b"Authorization: Bearer " + bearer + b"\r\n"
    wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + field + b"\r\n")
    answer = wire.answer()
    wire.close()
    return answer


def refused(gateway: Gateway, path: bytes, bearer: bytes | None) -> tuple[int, str]:
    """:return: status and code."""
    answer = ask(gateway, path, bearer)
    assert answer.one(b"www-authenticate" if answer.status != 503 else b"retry-after")
    return answer.status, json.loads(answer.body)["code"]


def let_in(gateway: Gateway, path: bytes, bearer: bytes | None) -> None:
    """As soon as the keys for it have come: the fetch that is under way may have begun before they were there."""
    deadline = monotonic() + BOUND
    while (status := ask(gateway, path, bearer).status) != 200:
        assert status in (401, 503)
        assert monotonic() < deadline, gateway.output[-5:]


def test_an_issuer_that_is_down_comes_up_rotates_and_fails(user: Server, issuer: Server, tmp_path: Path) -> None:
    pem = tmp_path / "partner.pem"
    pem.write_bytes(public_pem("ed"))
    ini = INI.format(service=user.port, issuer=issuer.port, pem=pem)
    environ = {"INTERNAL_SERVICE_SECRET": SECRET}
    with Gateway(tmp_path, ini, environ=environ) as gateway:
        assert refused(gateway, b"/", token(0)) == (503, "keys-unavailable")
        partner = signed({"iss": "partner", "sub": "p1"}, "EdDSA", private_key("ed"))
        assert ask(gateway, b"/", partner).status == 200

        issuer.body = key_set(jwk("p256", "k0", 0))
        let_in(gateway, b"/", token(0, roles=["dev"]))
        who = verify(user.asked[-1], SECRET.encode())
        assert who is not None
        assert (who.user, who.roles) == ("u1", ("dev",))

        assert refused(gateway, b"/admin", token(0, roles=["dev"])) == (403, "forbidden")
        assert refused(gateway, b"/", token(0, aud="else")) == (401, "token-invalid")
        assert refused(gateway, b"/", token(0, iss="partner")) == (401, "token-invalid")
        assert refused(gateway, b"/", None) == (401, "token-missing")
        assert ask(gateway, b"/open", token(0, aud="else")).status == 200

        assert refused(gateway, b"/", token(1)) == (401, "token-invalid")
        issuer.body = key_set(jwk("p256", "k1", 1))
        let_in(gateway, b"/?access_token=" + token(1), None)
        assert refused(gateway, b"/", token(0)) == (401, "token-invalid")

        issuer.body = None
        asked = len(issuer.asked)
        while len(issuer.asked) == asked:
            assert refused(gateway, b"/", token(2)) == (401, "token-invalid")
        assert ask(gateway, b"/", token(1)).status == 200

        answer = ask(gateway, b"/api/v1/auth/session", token(1, roles=["dev"]))
        session = json.loads(answer.body)
        assert (answer.status, session["user"], session["roles"]) == (200, "u1", ["dev"])
        assert session["claims"]["ssn"] == "claim-hidden"
        assert session["expires"] == session["claims"]["exp"]
        assert answer.one(b"cache-control") == b"no-store"
        assert refused(gateway, b"/api/v1/auth/session", None) == (401, "token-missing")
    assert not [fields for fields in issuer.asked if "Cookie" in fields]
    written = "\n".join([*gateway.output, *map(json.dumps, gateway.logged)])
    for secret in ("eyJ", "claim-hidden", SECRET, "Bearer"):
        assert secret not in written
    assert "no new keys: status 500; there are no keys yet" in written
    assert {line["user"] for line in gateway.logged} == {None, "u1", "p1"}
