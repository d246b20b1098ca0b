"""``aggregate`` of a route: several services that answer its requests together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from apigw.config.kind import Kind, choice, list_of
from apigw.config.names import parse_name
from apigw.config.option import option
from apigw.config.transforming import parse_target
from apigw.config.units import DURATION, size_between
from apigw.policy.templates import Template

_PART = re.compile(r"([^:\s]*)\s*:\s*(\S+)\s+as\s+(\S+)").fullmatch
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}").fullmatch

TAKEN = "errors"
"""The member that says which parts are missing."""


@frozen
class PartTarget:
    """:ivar target: path and query. :ivar name: of the member of the answer."""

    service: str
    target: Template
    name: str

    def __str__(self) -> str:
        return f"{self.service}:{self.target} as {self.name}"


def _parse_part(text: str) -> PartTarget:
    match = _PART(text)
    if match is None:
        raise ValueError(f"{text!r} is not a service, a path and a name, such as user:/internal/me as profile")
    service, target, name = match.groups()
    if not _MEMBER(name) or name == TAKEN:
        raise ValueError(f"{name!r} can't be the name of a member, write letters, digits, - and _, but not {TAKEN}")
    return PartTarget(parse_name(service), parse_target(target), name)


AGGREGATE: Kind[tuple[PartTarget, ...]] = list_of(
    Kind("`service:path as name`", _parse_part), "`service:path as name`", at_least=1, identity=lambda one: one.name
)


@frozen(kw_only=True)
class RouteAggregate:
    failure: str = option(
        choice("fail", "null", "omit"),
        default="fail",
        help="Where a part can't be had: answer with an error, or without the part, which is `null` or left out, and"
        " say so in `errors`.",
    )
    timeout: float | None = option(
        DURATION,
        default=None,
        unset="the route's `timeout.total`, or the service's",
        example="2s",
        help="In which each part must be there as a whole.",
    )
    max_body: int = option(
        size_between(1, 16 * 1024**2), default=1024**2, help="Bytes of the answer of a part; a larger one has failed."
    )


def variables(parts: tuple[PartTarget, ...]) -> Iterator[tuple[str, str]]:
    """The key, and each variable that stands there."""
    for part in parts:
        for variable in part.target.variables:
            yield "aggregate", variable
