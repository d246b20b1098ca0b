from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from apigw.policy.jwk import KeyRefused, KeyRing, fitting, jwks_keys, pem_key, secret_key
from tests.tokens import FAMILIES, jwk, key_set, private_key, public_pem


@pytest.mark.parametrize(
    ("size", "algorithms"), [(32, {"HS256"}), (48, {"HS256", "HS384"}), (64, {"HS256", "HS384", "HS512"})]
)
def test_a_secret_is_good_for_what_it_is_long_enough_for(size: int, algorithms: set[str]) -> None:
    assert secret_key(b"s" * size).algorithms == algorithms


@pytest.mark.parametrize("secret", [b"", b"hunter2-hunter2", b"s" * 31, public_pem("rsa")])
def test_weak_secrets_and_public_ones_are_refused(secret: bytes) -> None:
    with pytest.raises(KeyRefused) as caught:
        secret_key(secret)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("kind", "algorithms"), FAMILIES.items())
def test_a_public_key_is_good_for_its_own_family_alone(kind: str, algorithms: tuple[str, ...]) -> None:
    assert pem_key(public_pem(kind)).algorithms == set(algorithms)
    assert jwks_keys(key_set(jwk(kind, "k")))[0].algorithms == set(algorithms)


def test_pem_that_is_no_strong_public_key_is_refused() -> None:
    private = private_key("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    weak = rsa.generate_private_key(65537, 1024).public_key()
    other = dsa.generate_private_key(1024).public_key()
    others = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in (weak, other)]
    for pem in (private, *others, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(KeyRefused):
            pem_key(pem)


def test_of_a_set_the_usable_keys_are_taken() -> None:
    keys = jwks_keys(
        key_set(
            jwk("rsa", "a", alg="RS256", use="sig"),
            jwk("rsa", "b", use="enc"),
            jwk("rsa", "c", key_ops=["encrypt"]),
            jwk("p256", "d", key_ops=["verify"]),
            jwk("p256", "e", alg="RS256"),
            {"kty": "oct", "k": "c2VjcmV0" * 10, "kid": "f"},
            {"kty": "new"},
        )
    )
    assert [(key.kid, key.algorithms) for key in keys] == [("a", {"RS256"}), ("d", {"ES256"})]


def test_symmetric_keys_are_taken_from_a_file_alone() -> None:
    oct_set = key_set({"kty": "oct", "k": "c2VjcmV0" * 10, "kid": "f"})
    assert jwks_keys(oct_set, secrets=True)[0].algorithms == {"HS256", "HS384"}
    with pytest.raises(KeyRefused):
        jwks_keys(oct_set)


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"\xff", b"[" * 100_000, b" " * 2**21]
)
def test_what_is_no_set_of_keys(document: bytes) -> None:
    with pytest.raises(KeyRefused):
        jwks_keys(document)
    with pytest.raises(KeyRefused):
        jwks_keys(key_set(*[jwk("ed")] * 101))


GOOD = jwk("p256", "k")
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from([*GOOD, "use", "alg", "key_ops", "n", "e", "k", "d"]), VALUES))
def test_whatever_is_in_a_key_it_is_used_or_left_out(wrong: dict[str, Any]) -> None:
    keys = jwks_keys(key_set(jwk("ed", "other"), GOOD | wrong))
    assert keys[0].kid == "other"
    assert all(key.algorithms for key in keys)


def test_a_ring_tries_few_keys_and_only_those_made_for_it() -> None:
    listed = [jwk("rsa", "a"), jwk("p256", "b"), *(jwk("p256", f"x{number}") for number in range(9))]
    ring = KeyRing(jwks_keys(json.dumps({"keys": listed}).encode()))
    assert [key.kid for key in ring.find("a", "RS256")] == ["a"]
    assert ring.find("a", "ES256") == []
    assert ring.find("a", "HS256") == []
    assert ring.find("zzz", "RS256") == []
    assert len(ring.find(None, "ES256")) == 4
    assert ring.knows("a") and ring.knows(None) and not ring.knows("zzz")
    assert KeyRing([pem_key(public_pem("ed"))]).knows("anything")


def test_nothing_else_is_a_key() -> None:
    assert fitting(object()) == fitting("a" * 64) == frozenset()
    assert "MII" not in repr(pem_key(public_pem("rsa"))) and "sss" not in repr(secret_key(b"s" * 32))
