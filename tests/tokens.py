"""Issuers of tokens, for tests: keys, the sets they are published in, and what they sign."""

from __future__ import annotations

import json
from functools import cache
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

SECRET = b"0123456789abcdef" * 4

FAMILIES = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "p256": ("ES256",),
    "p384": ("ES384",),
    "p521": ("ES512",),
    "ed": ("EdDSA",),
}


def private_key(kind: str, number: int = 0) -> Any:
    """:param number: for several of a kind."""
    return _made(kind, number)


@cache
def _made(kind: str, number: int) -> Any:
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(curves[kind]()) if kind in curves else ed25519.Ed25519PrivateKey.generate()


def public_pem(kind: str, number: int = 0) -> bytes:
    key = private_key(kind, number).public_key()
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwk(kind: str, kid: str | None = None, number: int = 0, **more: Any) -> dict[str, Any]:
    """A public key as key sets have it."""
    algorithm: Any = get_default_algorithms()[FAMILIES[kind][0]]
    found: dict[str, Any] = algorithm.to_jwk(private_key(kind, number).public_key(), as_dict=True)
    found.pop("key_ops", None)
    return found | ({} if kid is None else {"kid": kid}) | more


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(
    claims: dict[str, Any] | None = None,
    algorithm: str = "HS256",
    key: Any = SECRET,
    headers: dict[str, Any] | None = None,
    lifetime: float = 60.0,
) -> bytes:
    """A token of user ``u1``."""
    whole = {"sub": "u1", "exp": int(time() + lifetime)} | (claims or {})
    return jwt.encode(whole, key, algorithm, headers).encode()
