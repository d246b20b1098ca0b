"""Who is let in, over the whole path in memory."""

from __future__ import annotations

import gc
import json
from time import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from apigw.keys.authority import Authority
from apigw.keys.issuer import FixedKeys, Issuer, Rules
from apigw.policy.bearer import TokenSource
from apigw.policy.jwk import KeyRing, jwks_keys, secret_key
from apigw.stages.identity import Identity
from apigw.stages.jwt import Jwt
from tests.kit import Memory
from tests.path.test_exchange import OK, head_of
from tests.tokens import SECRET, jwk, key_set, private_key, signed

SERVICES = b"internal-secret-of-all-services"


class Published:
    """Keys that change when the test says so."""

    def __init__(self, ring: KeyRing | None) -> None:
        self.ring = ring
        self.waiting: list[Deferred[None]] = []
        self.allowed = True

    def renew(self) -> Deferred[None] | None:
        if not self.allowed:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def arrive(self, ring: KeyRing | None) -> None:
        self.ring = ring
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)


def gateway(
    required: bool = True, source: TokenSource | None = None, keys: Any = None, **needs: tuple[str, ...]
) -> Memory:
    issuer = Issuer(keys or FixedKeys(KeyRing([secret_key(SECRET)])), Rules())
    jwt = Jwt(Authority([issuer], time), source or TokenSource(), required, **needs)
    return Memory(stages=[jwt, Identity(SERVICES, time)])


def get(token: bytes | None = None, target: bytes = b"/a", more: bytes = b"") -> bytes:
    field = b"" if token is None else b"Authorization: Bearer " + token + b"\r\n"
    return b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n" + field + more + b"\r\n"


def ask(memory: Memory, request: bytes) -> tuple[int, dict[bytes, bytes], dict[bytes, bytes], dict[str, Any]]:
    """:return: status, fields of the answer, fields at the service, body of an error."""
    client = memory.client()
    client.feed(request)
    sent: dict[bytes, bytes] = {}
    if memory.dials and memory.dials[-1].written:
        _, sent, _ = head_of(memory.dials[-1].take())
        memory.dials[-1].feed(OK)
    first, fields, body = head_of(client.take())
    return int(first.split()[1]), fields, sent, json.loads(body) if body[:1] == b"{" else {}


def test_a_valid_token_opens_the_route_and_the_service_knows_who_asks() -> None:
    memory = gateway()
    status, _, sent, _ = ask(
        memory, get(signed({"roles": ["admin", "dev"]}), more=b"X-User-Id: root\r\nx_user-role: r\r\n")
    )
    assert status == 200
    assert (sent[b"x-user-id"], sent[b"x-user-role"]) == (b"u1", b"admin,dev")
    assert b"x_user-role" not in sent
    assert memory.done[0].principal == "u1"
    assert memory.done[0].identity is not None
    assert memory.done[0].identity.roles == ("admin", "dev")


@pytest.mark.parametrize(
    ("request_", "status", "code", "error"),
    [
        (get(), 401, "token-missing", b""),
        (get(signed(lifetime=-60)), 401, "token-expired", b"invalid_token"),
        (get(signed(key=SECRET[::-1] + b"x")), 401, "token-invalid", b"invalid_token"),
        (get(b"eyJh.eyJz."), 401, "token-invalid", b"invalid_token"),
        (get(b"e.e." + b"e" * 9000), 401, "token-invalid", b"invalid_token"),
        (get(signed(), more=b"Authorization: Bearer x\r\n"), 400, "token-ambiguous", b"invalid_request"),
    ],
)
def test_others_are_refused_where_a_token_is_required_and_guests_where_not(
    request_: bytes, status: int, code: str, error: bytes
) -> None:
    memory = gateway()
    answered, fields, sent, body = ask(memory, request_)
    assert (answered, body["code"], sent) == (status, code, {})
    assert fields[b"www-authenticate"].startswith(b'Bearer realm="apigw"')
    assert (b'error="' + error + b'"' in fields[b"www-authenticate"]) is bool(error)
    memory = gateway(required=False)
    answered, _, sent, _ = ask(memory, request_)
    assert answered == 200
    assert not [name for name in sent if name.startswith(b"x-user")]
    assert memory.done[0].principal is None


def test_roles_and_scopes() -> None:
    admin, reader = signed({"roles": ["admin"], "scope": "read write"}), signed({"role": "reader", "scope": "read"})
    for needs, token, status, code in (
        ({"roles": ("admin", "editor")}, admin, 200, None),
        ({"roles": ("admin", "editor")}, reader, 403, "forbidden"),
        ({"scopes": ("read", "write")}, admin, 200, None),
        ({"scopes": ("read", "write")}, reader, 403, "scope-missing"),
        ({"roles": ("reader",), "scopes": ("write",)}, reader, 403, "scope-missing"),
    ):
        answered, fields, sent, body = ask(gateway(**needs), get(token))
        assert (answered, body.get("code")) == (status, code)
        if status == 403:
            assert sent == {}
            assert b'error="insufficient_scope"' in fields[b"www-authenticate"]
            assert (b'scope="read write"' in fields[b"www-authenticate"]) is ("scopes" in needs and len(needs) == 1)


def test_a_connection_does_not_keep_what_the_next_request_has_not() -> None:
    """Requests with the same fields share what was found in them, and nothing else does."""
    memory = gateway(source=TokenSource(query=b"token"))
    client = memory.client()
    for request, user in (
        (get(target=b"/?token=" + signed({"sub": "a"})), b"a"),
        (get(target=b"/?token=" + signed({"sub": "b"})), b"b"),
        (get(), None),
        (get(signed({"sub": "c"})), b"c"),
        (get(signed({"sub": "c"})), b"c"),
        (get(signed({"sub": "d"})), b"d"),
    ):
        client.feed(request)
        sent = head_of(memory.dials[-1].take())[1]
        if user is not None:
            memory.dials[-1].feed(OK)
        assert sent.get(b"x-user-id") == user
        assert client.take().startswith(b"HTTP/1.1 200 " if user else b"HTTP/1.1 401 ")


def test_a_token_is_verified_once_and_expires_on_a_connection_that_stays() -> None:
    now = [time()]
    issuer = Issuer(FixedKeys(KeyRing([secret_key(SECRET)])), Rules())
    memory = Memory(stages=[Jwt(Authority([issuer], lambda: now[0]), TokenSource(), False)])
    client = memory.client()
    token = signed(lifetime=2)
    for _ in range(3):
        client.feed(get(token))
        memory.dials[0].feed(OK)
        client.take()
    assert issuer.verifications == 1
    now[0] += 3
    client.feed(get(token))
    memory.dials[0].feed(OK)
    assert issuer.verifications == 2


def test_an_unknown_key_is_waited_for_once() -> None:
    old, new = (KeyRing(jwks_keys(key_set(jwk("p256", name, number)))) for number, name in enumerate(("old", "new")))
    keys = Published(old)
    memory = gateway(keys=keys)
    token = signed(None, "ES256", private_key("p256", 1), {"kid": "new"})
    client = memory.client()
    client.feed(get(token))
    assert (client.take(), len(keys.waiting), memory.dials) == (b"", 1, [])
    keys.arrive(new)
    memory.dials[0].feed(OK)
    assert client.take().startswith(b"HTTP/1.1 200 ")
    other = signed(None, "ES256", private_key("p256", 0), {"kid": "other"})
    keys.allowed = False
    assert ask(memory, get(other))[3]["code"] == "token-invalid"
    keys.allowed = True
    client.feed(get(other))
    keys.arrive(new)
    assert b"token-invalid" in client.take()


def test_a_client_that_goes_away_while_keys_are_fetched() -> None:
    keys = Published(None)
    memory = gateway(keys=keys)
    client = memory.client()
    client.feed(get(signed()))
    client.reset()
    assert len(memory.done) == 1
    assert memory.dials == []


def test_without_keys_tokens_are_a_503_and_guests_are_served() -> None:
    keys = Published(None)
    keys.allowed = False
    status, fields, _, body = ask(gateway(keys=keys), get(signed()))
    assert (status, body["code"], fields[b"retry-after"]) == (503, "keys-unavailable", b"5")
    assert ask(gateway(keys=keys), get())[0] == 401
    assert ask(gateway(False, keys=keys), get(signed()))[0] == 200


def test_nothing_of_a_token_is_in_an_answer() -> None:
    for token in (
        signed({"ssn": "hidden", "sub": "u-secret"}, lifetime=-60),
        signed({"ssn": "hidden", "sub": "u-secret", "nbf": time() + 60}),
        signed({"ssn": "hidden", "sub": "u-secret"}, key=SECRET + b"x"),
    ):
        memory = gateway()
        client = memory.client()
        client.feed(get(token))
        answer = client.take()
        for part in (b"hidden", b"u-secret", *token.split(b"."), SECRET):
            assert part not in answer


def test_no_cyclic_garbage() -> None:
    memory = gateway()
    client = memory.client()
    token = signed()

    def exchange() -> None:
        client.feed(get(token))
        memory.dials[0].feed(OK)
        client.take()
        memory.dials[0].take()
        memory.done.clear()

    exchange()
    exchange()
    gc.collect()
    gc.disable()
    try:
        exchange()
        assert gc.collect() == 0
    finally:
        gc.enable()
