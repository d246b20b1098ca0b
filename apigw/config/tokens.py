"""The sections about tokens: who issues them, with which keys, and how services are told who asks."""

# ruff: noqa: RUF009 (option and group are attrs fields)
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from apigw.config.claim_fields import CLAIM_FIELDS, ClaimField
from apigw.config.files import absolute, read
from apigw.config.kind import Kind, choice, list_of
from apigw.config.matching import PREFIX
from apigw.config.option import Variable, group, option
from apigw.config.origins import ORIGINS
from apigw.config.secrets import SECRET_FILE, SECRET_VARIABLE, Secret
from apigw.config.units import DURATION, integer, size_between
from apigw.policy.cors import ANY

if TYPE_CHECKING:
    from apigw.policy.jwk import Key

SYMMETRIC = ("HS256", "HS384", "HS512")
NAMES = (*SYMMETRIC, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

_WORD = re.compile(r"[!-~]{1,255}").fullmatch
_FIELD_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch

JWT_SECRET = "JWT_SECRET"
INTERNAL_SERVICE_SECRET = "INTERNAL_SERVICE_SECRET"


def parse_word(text: str) -> str:
    """Text without space, as claims and issuers are."""
    if not _WORD(text):
        raise ValueError(f"{text!r} has other characters than visible ASCII, or more than 255 of them")
    return text


def parse_scope(text: str) -> str:
    """A scope (RFC 6749 section 3.3)."""
    if '"' in text or "\\" in text:
        raise ValueError(f"{text!r} is not a scope, which has no quotes and backslashes")
    return parse_word(text)


def parse_parameter(text: str) -> str:
    """The name of a cookie or of a parameter in a query."""
    if not _FIELD_WORD(text):
        raise ValueError(f"{text!r} is not a name of letters, digits and _ . -")
    return text


def parse_url(text: str) -> str:
    """Where a key set is fetched."""
    try:
        url = urlsplit(text)
        url.port  # noqa: B018 (raises)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or not _WORD(text) or url.fragment:
        raise ValueError(f"{text!r} is not a URL, write for example https://login.example.com/keys.json")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL with a user or a password in it is not supported, leave them out")
    return text


def parse_public_key(text: str) -> str:
    """:return: absolute path of a PEM file with a public key or a certificate."""
    from apigw.policy.jwk import pem_key  # takes 100 ms, and not all configurations have keys

    path = absolute(text)
    try:
        pem_key(read(path))
    except ValueError as error:
        raise ValueError(_about(str(path), error)) from None
    return str(path)


def parse_key_set(text: str) -> str:
    """:return: absolute path of a JSON web key set."""
    from apigw.policy.jwk import jwks_keys

    path = absolute(text)
    try:
        jwks_keys(read(path), secrets=True)
    except ValueError as error:
        raise ValueError(_about(str(path), error)) from None
    return str(path)


def _about(path: str, error: ValueError) -> str:
    text = str(error)
    return text if path in text else f"{path} {text}"


WORD: Kind[str] = Kind("text without space", parse_word)
CLAIMS: Kind[tuple[str, ...]] = list_of(WORD, "claims, `a.b` for `b` inside of `a`", at_least=1)
SCOPES: Kind[tuple[str, ...]] = list_of(Kind("scope", parse_scope), "scopes", at_least=1)
ROLES: Kind[tuple[str, ...]] = list_of(WORD, "roles", at_least=1)
PARAMETER: Kind[str] = Kind("name", parse_parameter)
ALGORITHM_LIST: Kind[tuple[str, ...]] = list_of(choice(*NAMES), "algorithms", at_least=1)


@frozen(kw_only=True)
class TokenClaims:
    user: tuple[str, ...] = option(
        CLAIMS, default=("sub",), help="Where the user's id stands; of several the first that is there."
    )
    roles: tuple[str, ...] = option(
        CLAIMS, default=("roles", "role"), help="Where the roles stand, a list or a text that is one role."
    )
    scopes: tuple[str, ...] = option(
        CLAIMS, default=("scope", "scp"), help="Where the scopes stand, a list or a text with spaces between."
    )


@frozen(kw_only=True)
class TokenPlaces:
    cookie: str | None = option(
        PARAMETER,
        default=None,
        unset="none",
        example="session",
        help="A cookie that may hold the token, where `Authorization` has none.",
    )
    query: str | None = option(
        PARAMETER,
        default=None,
        unset="none",
        example="access_token",
        help="A parameter of the query that may hold it; the service gets the query as it is.",
    )
    cookie_origins: tuple[str, ...] = option(
        ORIGINS,
        default=(),
        unset="none",
        example="https://app.example.com",
        help="Whose pages may use the cookie for more than reading, besides the gateway's own origin and, where"
        " credentials are allowed, those of `[cors]`; 403 for others.",
    )
    max_size: int = option(size_between(256, 65536), default=8192, help="Bytes of a token; a longer one is refused.")


@frozen(kw_only=True)
class TokenIssuer:
    """What is known of an issuer; exactly one of the sources of keys must be given."""

    algorithms: tuple[str, ...] = option(
        ALGORITHM_LIST,
        default=(),
        unset="all that the keys are made for",
        example="RS256, ES256",
        help="With which tokens may be signed; a key is never used with an algorithm of another family.",
    )
    jwks_url: str | None = option(
        Kind("URL", parse_url),
        default=None,
        unset="none",
        example="https://login.example.com/.well-known/jwks.json",
        help="Where the issuer has its key set. The gateway starts without it too, and keeps the last good one.",
    )
    jwks_file: str | None = option(
        Kind("file with a JSON web key set", parse_key_set),
        default=None,
        unset="none",
        example="/etc/apigw/jwks.json",
        help="The same, from a file.",
    )
    public_key_file: str | None = option(
        Kind("PEM file with a public key or a certificate", parse_public_key),
        default=None,
        unset="none",
        example="/etc/apigw/issuer.pem",
        help="The one key of the issuer.",
    )
    secret_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example=JWT_SECRET,
        variable=Variable(JWT_SECRET, lambda _: Secret(JWT_SECRET)),
        help="Holds a secret shared with the issuer, for HS256 32 bytes of it or more. `JWT_SECRET` gives way to any"
        " other source of keys.",
    )
    secret_file: Secret | None = option(
        SECRET_FILE, default=None, unset="none", example="/etc/apigw/jwt-secret", help="The same, from a file."
    )
    issuer: str | None = option(
        WORD,
        default=None,
        unset="any",
        example="https://login.example.com/",
        help="What the claim `iss` must be; by it a token finds its issuer where there are several.",
    )
    audience: tuple[str, ...] = option(
        list_of(WORD, "audiences", at_least=1),
        default=(),
        unset="not looked at",
        example="https://api.example.com",
        help="One of them must be in the claim `aud`.",
    )
    require: tuple[str, ...] = option(
        list_of(WORD, "claims", at_least=1), default=("exp",), help="Claims that each token must have."
    )
    leeway: float = option(DURATION, default=10.0, help="By which the issuer's clock may differ.")
    claims: TokenClaims = group(TokenClaims)
    jwks_refresh: float = option(DURATION, default=300.0, help="How often `jwks_url` is fetched.")
    jwks_min_interval: float = option(
        DURATION,
        default=10.0,
        help="Between two fetches, also when tokens come that were signed with a key that is not known.",
    )

    @property
    def secret(self) -> Secret | None:
        """Where it is in force."""
        others = (self.jwks_url, self.jwks_file, self.public_key_file, self.secret_file)
        if self.secret_env is not None and self.secret_env.place == JWT_SECRET and any(others):
            return self.secret_file
        return self.secret_env or self.secret_file

    @property
    def sources(self) -> list[str]:
        """Keys of the options that say where the keys come from, of those in force."""
        given = [key for key in ("jwks_url", "jwks_file", "public_key_file", "secret_file") if getattr(self, key)]
        if self.secret_env is not None and (self.secret is self.secret_env or not given):
            given.append("secret_env")
        return given

    def keys(self) -> tuple[Key, ...]:
        """
        Those that the configuration has; none of ``jwks_url``.

        :raises ValueError: they can't be used.
        """
        from apigw.policy.jwk import jwks_keys, pem_key, secret_key

        if self.secret is not None:
            return (secret_key(self.secret.value),)
        if self.public_key_file is not None:
            return (pem_key(read(absolute(self.public_key_file))),)
        if self.jwks_file is not None:
            return jwks_keys(read(absolute(self.jwks_file)), secrets=True)
        return ()

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        sources = self.sources
        if len(sources) != 1:
            if sources:
                yield sources[1], f"{sources[0]} is there too, keep one of the two"
            return
        symmetric = [name for name in self.algorithms if name in SYMMETRIC]
        if symmetric and self.jwks_url is not None:
            yield "algorithms", f"{symmetric[0]} needs a secret, and jwks_url has public keys, leave it out"
            return
        try:
            keys = self.keys()
        except ValueError as error:
            yield sources[0], f"the key {error}"
            return
        usable = frozenset().union(*(key.algorithms for key in keys))
        for name in self.algorithms:
            if keys and name not in usable:
                fits = ", ".join(known for known in NAMES if known in usable)
                yield "algorithms", f"{name} can't be used with the key of {sources[0]}, which is good for {fits}"


@frozen(kw_only=True)
class JwtSection(TokenIssuer):
    """
    Who issues the tokens that clients send, and where they stand. Without this section (and `[issuer:NAME]`) no token
    is looked at.
    """

    token: TokenPlaces = group(TokenPlaces)

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        yield from super().problems()
        if ANY in self.token.cookie_origins:
            yield "token.cookie_origins", "'*' would let any page use the cookie, name each"
        elif self.token.cookie_origins and self.token.cookie is None:
            yield "token.cookie_origins", "is of no use without token.cookie, add that"


@frozen(kw_only=True)
class ForwardAuthSection:
    """
    A place where other proxies ask whether a request may pass, and who sends it (nginx `auth_request`, Traefik
    `forwardAuth`). Without this section there is none.
    """

    path: str = option(PREFIX, default="/api/v1/auth/verify", help="Where they ask.")
    auth: str = option(
        choice("optional", "required"), default="required", help="Whether guests may pass, as for a route."
    )


@frozen(kw_only=True)
class IssuerSection(TokenIssuer):
    """Another issuer of tokens, beside that of `[jwt]` or instead of it; each of several needs an `issuer`."""

    name: str

    secret_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="PARTNER_JWT_SECRET",
        help="Holds a secret shared with the issuer, for HS256 32 bytes of it or more.",
    )
    issuer: str | None = option(
        WORD,
        default=None,
        unset="any",
        example="https://login.partner.example/",
        help="What the claim `iss` must be.",
    )


@frozen(kw_only=True)
class RevocationSection:
    """Tokens that count no more before they expire; they are told to `/api/revocations` of `[admin]`."""

    entries: int = option(
        integer(1, 10_000_000), default=100_000, help="How many there may be; one more is refused with 503."
    )
    keep: float = option(
        DURATION,
        default=86400.0,
        help="How long one stays that doesn't say so: no less than the longest life of a token.",
    )


MIN_SIGNING = 16
"""Bytes of the secret that identities are signed with."""


@frozen(kw_only=True)
class IdentitySection:
    """How services are told who asks: `x-user-id`, `x-user-role`, and a signature that proves them."""

    sign: str | None = option(
        choice("hmac", "none"),
        default=None,
        unset="`hmac` where there is a secret",
        example="hmac",
        help="Sign `id:role:timestamp` by HMAC-SHA256 as `x-user-id-signature`.",
    )
    secret_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example=INTERNAL_SERVICE_SECRET,
        variable=Variable(INTERNAL_SERVICE_SECRET, lambda _: Secret(INTERNAL_SERVICE_SECRET)),
        help="Holds the secret that the services know too.",
    )
    secret_file: Secret | None = option(
        SECRET_FILE, default=None, unset="none", example="/etc/apigw/service-secret", help="The same, from a file."
    )
    claims: tuple[ClaimField, ...] = option(
        CLAIM_FIELDS,
        default=(),
        unset="none",
        example="X-User-Email: email, X-Tenant: org.id",
        help="Claims that services get as fields, without a signature; what a client sends under these names they"
        " never get.",
    )

    @property
    def secret(self) -> bytes:
        """Empty where nothing is to be signed."""
        secret = self.secret_file or self.secret_env
        return b"" if secret is None or self.sign == "none" else secret.value

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.secret_file is not None and self.secret_env is not None:
            if self.secret_env.place != INTERNAL_SERVICE_SECRET:
                yield "secret_file", "secret_env is there too, keep one of the two"
        elif self.sign == "hmac" and not self.secret:
            yield "sign", "hmac needs a secret, write for example secret_env = INTERNAL_SERVICE_SECRET"
        if self.secret and len(self.secret) < MIN_SIGNING:
            key = "secret_file" if self.secret_file is not None else "secret_env"
            size = len(self.secret)
            yield key, f"the secret has {size} bytes, make one of {MIN_SIGNING} or more: openssl rand -hex 32"
