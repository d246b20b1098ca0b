"""``/api/revocations``: which tokens count no more, for operators and for what signs users out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from math import inf, isfinite
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from twisted.logger import Logger

from apigw.admin.bodies import json_object
from apigw.admin.health import answer
from apigw.config.units import parse_duration
from apigw.dates import HttpDate
from apigw.errors import ClientError, GatewayError, MethodNotAllowed, RouteNotFound
from apigw.messages import Exchange, Response
from apigw.policy.revocations import KINDS, MAX_VALUE, Revocation, Revocations, RevocationsFull, packed, unpacked

PATH = "/api/revocations"

_log = Logger()

SHOWN = 1000
"""Entries in one answer."""


class NoRoom(GatewayError):
    status = 503
    code = "revocations-full"
    title = "There is no room for another revocation"


class RevocationsApi:
    """
    ``GET`` lists, ``POST`` adds, ``GET`` and ``DELETE`` of ``/jti/VALUE`` or ``/sub/VALUE`` are about one, and so is
    ``DELETE`` with ``?jti=VALUE`` or ``?sub=VALUE``, for values that a path can't have, such as one with a newline.

    :param keep: seconds for which an entry stays that doesn't say how long.
    :param now: seconds since 1970.
    :param check: raises when nothing may be changed now.
    :param shared: whether others may have revoked what is not known here; None where there are no others.
    """

    def __init__(
        self,
        revocations: Revocations,
        keep: float,
        now: Callable[[], float],
        date: HttpDate,
        check: Callable[[], None],
        shared: Callable[[], bool | None] = lambda: None,
    ) -> None:
        self._shared = shared
        self._check = check
        self._revocations = revocations
        self._keep = keep
        self._now = now
        self._date = date

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        """
        :raises RouteNotFound: there is no such entry.
        :raises MethodNotAllowed: :raises ClientError: the body is wrong. :raises NoRoom:
        """
        request = exchange.request
        rest = request.path.removeprefix(PATH.encode()).strip(b"/")
        if rest:
            kind, _, raw = rest.partition(b"/")
            return self._one(request.method, kind.decode("latin-1"), unquote_to_bytes(raw).decode("utf-8", "replace"))
        if request.method == b"DELETE":
            return self._one(request.method, *_asked(request.query))
        if request.method == b"POST":
            return self._add(exchange)
        if request.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD, POST, DELETE")])
        entries = [_shown(entry) for entry in islice(self._revocations.entries(), SHOWN)]
        value = {
            "revocations": entries,
            "total": len(self._revocations),
            "max": self._revocations.size,
            "behind": self._shared(),
        }
        return answer(200, b"OK", value, self._date)

    def _one(self, method: bytes, *key: str) -> Response:
        entry = self._revocations.get(*key)
        if method == b"DELETE":
            self._check()
            if not self._revocations.remove(*key):
                raise RouteNotFound("There is no such revocation.")
            return Response(204, b"No Content", [(b"Date", self._date.now())], b"", bodyless=True)
        if method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(fields=[(b"Allow", b"GET, HEAD, DELETE")])
        if entry is None:
            raise RouteNotFound("There is no such revocation.")
        return answer(200, b"OK", _shown(entry), self._date)

    async def _add(self, exchange: Exchange) -> Response:
        entry = self._entry(await json_object(exchange))
        self._check()
        try:
            self._revocations.add(entry)
        except RevocationsFull as full:
            raise NoRoom(str(full)) from None
        return answer(201, b"Created", _shown(entry), self._date)

    def _entry(self, value: Mapping[str, Any]) -> Revocation:
        """
        :param value: ``jti`` or ``sub``; ``expires`` in seconds since 1970, or ``for``, a duration; ``issued_before``.
        """
        unknown = sorted(set(value) - {*KINDS, "expires", "for", "issued_before"})
        if unknown:
            raise _wrong(f"{unknown[0]} is not known; there are jti, sub, expires, for and issued_before.")
        kinds = [kind for kind in KINDS if kind in value]
        if len(kinds) != 1:
            raise _wrong("Give one of jti and sub.")
        [kind] = kinds
        text = value[kind]
        if not isinstance(text, str) or not 0 < len(text) <= MAX_VALUE:
            raise _wrong(f"{kind} must be text of up to {MAX_VALUE} characters.")
        if "expires" in value and "for" in value:
            raise _wrong("Give one of expires and for.")
        now = self._now()
        expires = now + self._keep
        if "expires" in value:
            expires = _time(value, "expires")
            if expires <= now:
                raise _wrong("expires has passed.")
        elif "for" in value:
            try:
                expires = now + parse_duration(value["for"])
            except (ValueError, TypeError, AttributeError):
                raise _wrong("for must be a duration, such as 2h.") from None
        before = _time(value, "issued_before") if "issued_before" in value else inf
        return Revocation(kind, text, expires, before)


def all_lines(revocations: Revocations) -> str:
    """All of them, for :func:`take` in another process."""
    return "".join(f"{packed(entry)}\n" for entry in revocations.entries())


def take(lines: str, revocations: Revocations) -> None:
    """Put in, or take out, what isn't so already."""
    for line in lines.splitlines():
        key, entry = unpacked(line)
        if entry is None:
            revocations.drop(*key)
        elif revocations.listed.get(key) != entry:
            try:
                revocations.take(entry)
            except RevocationsFull as full:
                _log.error("a token that is revoked may be let in by a process that starts: {full}", full=full)
                return


def _asked(query: bytes) -> tuple[str, str]:
    """:param query: with its ``?``."""
    asked = parse_qsl(query[1:].decode("latin-1"), keep_blank_values=True)
    if len(asked) != 1 or asked[0][0] not in KINDS:
        raise _wrong("Give one of jti and sub in the query.")
    return asked[0]


def _time(value: Mapping[str, Any], key: str) -> float:
    found = value[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e11:
        raise _wrong(f"{key} must be seconds since 1970.")
    return float(found)


def _wrong(text: str) -> ClientError:
    return ClientError(text, code="bad-revocation")


def _shown(entry: Revocation) -> dict[str, object]:
    shown: dict[str, object] = {entry.kind: entry.value, "expires": entry.expires}
    if isfinite(entry.issued_before):
        shown["issued_before"] = entry.issued_before
    return shown
