"""
Idempotency keys: what a client sends so that a request which it repeats is done once.

Source: draft-ietf-httpapi-idempotency-key-header-07. The key is a string of structured fields (RFC 9651), or the same
without quotes, as most clients have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256

from attrs import frozen

Field = tuple[bytes, bytes]

SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
"""Methods that need no key (RFC 9110 section 9.2.1)."""

NOT_KEPT = frozenset((429, 502, 503, 504))
"""Statuses that say: not now. The request may be tried again with the same key."""

FINGERPRINT = 32
"""Bytes."""

CLAIM, DONE, UNKEPT = b"?", b"=", b"!"
"""What stands behind the fingerprint: whose claim it is; the answer; or that it was done, without an answer."""

_KEY = re.compile(rb'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([!#-~]{1,255})').fullmatch


class BadKey(ValueError):
    """There is no key that could be meant; the text says why."""


def parse_key(values: Sequence[bytes]) -> bytes | None:
    """
    :param values: of all fields that may hold it.
    :return: None where there is none.
    :raises BadKey: it is too long, holds what it may not, or there are two.
    """
    keys = set()
    for value in values:
        match = _KEY(value)
        if match is None:
            raise BadKey("The idempotency key is not 1 to 255 visible characters.")
        keys.add(match[1] or match[2])
    if len(keys) > 1:
        raise BadKey("There is more than one idempotency key.")
    return keys.pop() if keys else None


def place(who: str, key: bytes) -> str:
    """Where the answer to a key is kept. :param who: whose key it is; nobody else's requests find it."""
    return sha256(b"%d:%b%b" % (len(who.encode()), who.encode(), key)).hexdigest()


def fingerprint(
    method: bytes, authority: bytes, target: bytes, body: bytes, credentials: Sequence[bytes] = ()
) -> bytes:
    """
    What requests with one key must have in common; :data:`FINGERPRINT` bytes.

    :param credentials: by which a service tells who asks, where the gateway can't.
    """
    told = sha256()
    for part in (method, authority, target, body, *credentials):
        told.update(b"%d:" % len(part))
        told.update(part)
    return told.digest()


@frozen
class Answer:
    """
    A whole answer.

    :ivar lines: more fields, in the form they have on the wire.
    """

    status: int
    reason: bytes
    fields: Sequence[Field]
    lines: bytes
    body: bytes
    bodyless: bool = False

    @property
    def size(self) -> int:
        """Bytes, or nearly so."""
        return len(self.body) + len(self.lines) + sum(len(name) + len(value) for name, value in self.fields)


def unkept(record: bytes) -> bytes:
    """What remains of a record when its answer goes: nobody does the request a second time."""
    return record[:FINGERPRINT] + UNKEPT


def dump(answer: Answer) -> bytes:
    """As bytes to be kept."""
    head = {
        "status": answer.status,
        "reason": answer.reason.decode("latin-1"),
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.fields],
        "lines": answer.lines.decode("latin-1"),
        "bodyless": answer.bodyless,
    }
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + answer.body


def load(kept: bytes) -> Answer:
    """Back from :func:`dump`."""
    text, _, body = kept.partition(b"\n")
    head = json.loads(text)
    return Answer(
        head["status"],
        head["reason"].encode("latin-1"),
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["fields"]],
        head["lines"].encode("latin-1"),
        body,
        head["bodyless"],
    )
