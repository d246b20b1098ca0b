"""Which claims services get as fields: ``X-Tenant: org.id``."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.kind import Kind, list_of
from apigw.policy.fields import IDENTITY_PREFIXES, PROTECTED, REQUEST_DROPPED

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}").fullmatch
_CLAIM = re.compile(r"[!-~]{1,255}").fullmatch

OWN = re.compile(r"x-user-(id|id-.*|role|scopes|consumer)").fullmatch
"""Fields that say something of their own, in lower case."""


@frozen
class ClaimField:
    """
    :ivar name: of the field.
    :ivar claim: its path, ``a.b`` for ``b`` inside of ``a``.
    """

    name: str
    claim: str

    def __str__(self) -> str:
        return f"{self.name}: {self.claim}"


def parse_claim_field(text: str) -> ClaimField:
    name, colon, claim = (part.strip() for part in text.partition(":"))
    if not colon or not _NAME(name) or not _CLAIM(claim):
        raise ValueError(f"{text!r} is not a field and a claim, such as X-User-Email: email")
    raw = name.lower().encode()
    taken = OWN(name.lower()) or raw in REQUEST_DROPPED | PROTECTED
    if taken or (raw.startswith(IDENTITY_PREFIXES) and not raw.startswith(b"x-user-")):
        raise ValueError(f"{name} has a meaning of its own, write another, such as X-User-{claim.title()}")
    return ClaimField(name, claim)


CLAIM_FIELDS: Kind[tuple[ClaimField, ...]] = list_of(
    Kind("field and claim", parse_claim_field),
    "`Name: claim`, `a.b` for `b` inside of `a`",
    at_least=1,
    identity=lambda field: field.name.lower(),
)
