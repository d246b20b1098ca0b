"""Keys that signatures of tokens are checked with, and which algorithms each of them may be used for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWKSet
from jwt.exceptions import PyJWTError

HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""How long a secret must be at least (RFC 7518 section 3.2)."""

_RSA = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

RSA_BITS = (2048, 8192)
"""RFC 7518 section 3.3, and what a signature may cost at most."""

MAX_JWKS = 1024**2
"""Bytes of a key set."""

MAX_KEYS = 100

TRIES = 4
"""How many keys are tried for a token that doesn't say which one signed it."""


class KeyRefused(ValueError):
    """A key that can't be used; the text says why, and holds nothing of it."""


@frozen
class Key:
    """
    :ivar kid: its name, None for one that is tried for tokens with any name or none.
    :ivar algorithms: those that it may be used for: never one of another family, whatever a token says.
    :ivar material: as PyJWT takes it: bytes of a secret, or a public key.
    """

    kid: str | None
    algorithms: frozenset[str]
    material: Any = field(repr=False)


def fitting(material: object) -> frozenset[str]:
    """The algorithms that a key is strong enough and made for; none where it is weak or of another kind."""
    if isinstance(material, bytes):
        return frozenset(name for name, size in HMAC_BYTES.items() if len(material) >= size)
    if isinstance(material, RSAPublicKey):
        return _RSA if RSA_BITS[0] <= material.key_size <= RSA_BITS[1] else frozenset()
    if isinstance(material, EllipticCurvePublicKey):
        name = _CURVES.get(material.curve.name)
        return frozenset((name,)) if name else frozenset()
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return frozenset(("EdDSA",))
    return frozenset()


def secret_key(secret: bytes) -> Key:
    """:raises KeyRefused: it is too short to be one, or a key in PEM form, which others may know."""
    if b"-----BEGIN " in secret:
        raise KeyRefused("is a key in PEM form, which is no secret; name its file as public_key_file")
    algorithms = fitting(secret)
    if not algorithms:
        raise KeyRefused(
            f"is {len(secret)} bytes long and could be guessed, it must have {HMAC_BYTES['HS256']} or more:"
            " openssl rand -hex 32"
        )
    return Key(None, algorithms, secret)


def pem_key(pem: bytes) -> Key:
    """
    :param pem: of a public key, or of a certificate.
    :raises KeyRefused: it isn't one, or it is weak or of a kind that signs no tokens.
    """
    if b"PRIVATE KEY-----" in pem:
        raise KeyRefused("holds a private key, which belongs to the issuer alone: openssl pkey -pubout -in KEY")
    try:
        if b"BEGIN CERTIFICATE" in pem:
            material: object = x509.load_pem_x509_certificate(pem).public_key()
        else:
            material = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRefused("holds no public key in PEM form") from None
    algorithms = fitting(material)
    if not algorithms:
        raise KeyRefused("holds a key that is weak or signs no tokens; RSA needs 2048 bits, EC P-256, P-384 or P-521")
    return Key(None, algorithms, material)


def jwks_keys(document: bytes, secrets: bool = False) -> tuple[Key, ...]:
    """
    The usable keys of a set (RFC 7517 section 5); others are left out, as it says.

    :param secrets: symmetric keys count too; never in a set that came over a network.
    :raises KeyRefused: it is no key set, or holds no usable key.
    """
    if len(document) > MAX_JWKS:
        raise KeyRefused(f"is larger than {MAX_JWKS} bytes")
    try:
        held = json.loads(document)
    except (ValueError, RecursionError):
        raise KeyRefused("is not JSON") from None
    listed = held.get("keys") if isinstance(held, dict) else None
    if not isinstance(listed, list):
        raise KeyRefused('is no key set, that is an object with a list of "keys"')
    if len(listed) > MAX_KEYS:
        raise KeyRefused(f"holds more than {MAX_KEYS} keys")
    keys = tuple(key for key in map(_of_jwk, listed) if key and (secrets or not isinstance(key.material, bytes)))
    if not keys:
        raise KeyRefused("holds no key that tokens could be verified with")
    return keys


def _of_jwk(jwk: object) -> Key | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    operations = jwk.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        return None
    try:
        material: Any = PyJWKSet.from_dict({"keys": [jwk]}).keys[0].key
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None
    if hasattr(material, "private_bytes"):
        material = material.public_key()
    algorithms = fitting(material)
    if "alg" in jwk:
        algorithms = algorithms & {jwk["alg"]} if isinstance(jwk["alg"], str) else frozenset()
    return Key(kid, algorithms, material) if algorithms else None


class KeyRing:
    """The keys of one issuer, as they are at one time."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)

    def find(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        """
        The keys to try for a token, few.

        :param kid: as the token's header has it.
        """
        return [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        ][:TRIES]

    def knows(self, kid: str | None) -> bool:
        """Whether a key of that name is there, or one that goes without."""
        return kid is None or any(key.kid is None or key.kid == kid for key in self.keys)
