"""How requests get to a service beyond the choice of a peer: stickiness, hedges, a limit that adapts itself."""

# ruff: noqa: RUF009 (option is an attrs field)

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from apigw.config.kind import Kind
from apigw.config.option import option
from apigw.config.secrets import SECRET_FILE, SECRET_VARIABLE, Secret
from apigw.config.units import DURATION, PERCENT, integer

MIN_SECRET = 16

_COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}").fullmatch


def parse_cookie(text: str) -> str:
    """The name of a cookie, a token (RFC 6265 section 4.1.1)."""
    if not _COOKIE(text):
        raise ValueError(f"{text!r} is not the name of a cookie, use letters, digits, - and _")
    return text


COOKIE: Kind[str] = Kind("cookie name", parse_cookie)


@frozen(kw_only=True)
class ServiceSticky:
    cookie: str | None = option(
        COOKIE,
        default=None,
        unset="none",
        example="apigw_peer",
        help="A signed cookie that brings a client back to the peer it had, while that is usable.",
    )
    secret_env: Secret | None = option(
        SECRET_VARIABLE,
        default=None,
        unset="none",
        example="APIGW_STICKY_SECRET",
        help="Holds what the cookie is signed with, the same on all gateways.",
    )
    secret_file: Secret | None = option(
        SECRET_FILE, default=None, unset="none", example="/etc/apigw/sticky-secret", help="The same, from a file."
    )
    max_age: float | None = option(
        DURATION, default=None, unset="until the browser is closed", example="1h", help="How long a cookie holds."
    )

    @property
    def secret(self) -> bytes:
        """Empty where there is none."""
        secret = self.secret_env or self.secret_file
        return b"" if secret is None else secret.value

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        key = "sticky.secret_file" if self.secret_env is None else "sticky.secret_env"
        if self.secret_env is not None and self.secret_file is not None:
            yield "sticky.secret_file", "sticky.secret_env is there too, keep one of the two"
        elif self.cookie is None and self.secret:
            yield key, "is of no use without sticky.cookie, add that"
        elif self.cookie is not None and not self.secret:
            yield "sticky.cookie", "needs a secret to be signed with, write sticky.secret_env or sticky.secret_file"
        elif self.secret and len(self.secret) < MIN_SECRET:
            yield key, f"has {len(self.secret)} bytes, make one of {MIN_SECRET} or more: openssl rand -hex 16"
        if self.max_age is not None and self.max_age < 1.0:
            yield "sticky.max_age", "cookies count whole seconds, write 1s or more"


@frozen(kw_only=True)
class ServiceHedge:
    after: float | None = option(
        PERCENT,
        default=None,
        unset="never",
        example="95%",
        help="Send a copy of a request to another peer once it takes longer than this share of the requests of the last"
        " minute did; the first answer counts, the other request is cancelled. For methods that may be sent twice,"
        " without a body, and paid from `retry.budget`.",
    )
    samples: int = option(integer(1, 1_000_000), default=100, help="Answers that must be known first.")
    shortest: float = option(DURATION, default=0.001, help="What is waited for in any case.")

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.after is not None and not 0.0 < self.after < 1.0:
            yield "hedge.after", "is a share of requests, write more than 0% and less than 100%"


@frozen(kw_only=True)
class ServiceAdaptive:
    limit: int | None = option(
        integer(1, 1_000_000),
        default=None,
        unset="none",
        example="20",
        help="Keep the requests under way to a number that follows how fast the service answers, from this one on; 503"
        " beyond it, for routes of low `priority` first.",
    )
    lowest: int = option(integer(1, 1_000_000), default=4, help="The limit never goes below.")
    highest: int = option(integer(1, 1_000_000), default=1000, help="It never goes above.")
    tolerance: float = option(
        PERCENT,
        default=0.5,
        help="How much longer than at their best answers may take before the limit goes down.",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.limit is not None and not self.lowest <= self.limit <= self.highest:
            yield (
                "adaptive.limit",
                f"is not between adaptive.lowest = {self.lowest} and adaptive.highest = {self.highest}",
            )
