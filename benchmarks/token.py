"""What clients show to contenders that look at tokens: one issuer, one user, one page."""

import functools
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.contender import Headers

ISSUER, AUDIENCE = "https://login.bench.example/", "https://api.bench.example"
ORIGIN = "https://app.bench.example"
LIFETIME = 86400  # seconds
USERS = 100


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_key() -> str:
    """The issuer's public key, PEM."""
    return _key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@functools.cache
def headers(user: int = 0) -> Headers:
    """A valid RS256 token of a user with roles and scopes, and the origin of the page that sends it."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"user-{user}",
        "iat": now,
        "exp": now + LIFETIME,
        "roles": ["editor"],
        "scope": "read write",
    }
    token = jwt.encode(claims, _key(), algorithm="RS256")
    return (("Authorization", f"Bearer {token}"), ("Origin", ORIGIN))


def users() -> tuple[Headers, ...]:
    """The same of several users."""
    return tuple(headers(number) for number in range(USERS))
