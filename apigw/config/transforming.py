"""``request.*`` and ``response.*`` of a route: what becomes of fields, statuses and JSON on their way."""

# ruff: noqa: RUF009 (option and group are attrs fields)

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import frozen

from apigw.config.kind import Kind, RowError, choice, list_of, pieces
from apigw.config.option import group, option
from apigw.config.problems import did_you_mean
from apigw.config.units import size_between
from apigw.policy.field_changes import taken_of_request, taken_of_response
from apigw.policy.json_shape import Path, Shape
from apigw.policy.paths import is_plain
from apigw.policy.templates import FAMILIES, VARIABLES, Template, TemplateError, parse_template, split_query

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_TEXT = re.compile(r"[^\x00-\x1f\x7f]+").fullmatch

_TWO = re.compile(r",\s*[A-Z][A-Za-z0-9-]*:\s").search
"""With several lines a comma is part of a value, which is easily forgotten."""

MAX_JSON = 16 * 1024**2


@frozen
class FieldText:
    """A field, with variables in its value."""

    name: str
    value: Template

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"


@frozen
class Renamed:
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old}: {self.new}"


@frozen
class StatusMap:
    """:ivar old: a status, or the first digit of a class."""

    old: int
    new: int

    def __str__(self) -> str:
        return f"{self.old if self.old > 9 else f'{self.old}xx'}: {self.new}"


@frozen
class RenamedMember:
    path: Path
    new: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.new}"


def parse_text(text: str) -> Template:
    try:
        template = parse_template(text)
    except TemplateError as error:
        known = (*VARIABLES, *(f"{family}.NAME" for family in FAMILIES))
        raise ValueError(f"{error}{error.unknown and did_you_mean(error.unknown, known)}") from None
    for variable in template.variables:
        family, _, name = variable.partition(".")
        if family == "field" and (not _TOKEN(name) or taken_of_request(name)):
            raise ValueError(f"{{{variable}}} is not a field that clients may say something by")
    return template


def _parse_name(text: str, taken: Callable[[str], bool]) -> str:
    if not _TOKEN(text):
        raise ValueError(f"{text!r} is not the name of a field, such as X-Env")
    if taken(text):
        raise ValueError(f"{text} is the gateway's own affair, write another field")
    return text


def _parse_field(text: str, taken: Callable[[str], bool]) -> FieldText:
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not value:
        raise ValueError(f"{text!r} is not a field and its value, such as X-Env: prod")
    if not _TEXT(value):
        raise ValueError(f"{text!r} has a control character in it, take that out")
    return FieldText(_parse_name(name, taken), parse_text(value))


def _fields(taken: Callable[[str], bool], once: bool) -> Kind[tuple[FieldText, ...]]:
    def parse(text: str) -> tuple[FieldText, ...]:
        lines = [(row, line.strip()) for row, line in enumerate(text.split("\n")) if line.strip()]
        found: list[FieldText] = []
        for row, item in lines if "\n" in text else pieces(text):
            try:
                if _TWO(item):
                    raise ValueError(f"{item!r} looks like two fields, write each on a line of its own")
                field = _parse_field(item, taken)
            except ValueError as error:
                raise RowError(row, str(error)) from None
            if once and field.name.lower() in (other.name.lower() for other in found):
                raise RowError(row, f"{field.name} is here twice, remove one of them")
            found.append(field)
        if not found:
            raise ValueError("is empty, write for example X-Env: prod")
        return tuple(found)

    def render(fields: tuple[FieldText, ...]) -> str:
        lines = [str(field) for field in fields]
        return "".join(f"\n{line}" for line in lines) if any("," in line for line in lines) else ", ".join(lines)

    return Kind(
        "list of `Name: value with {variables}`, by comma or, with commas inside, by line", parse, render, lines=True
    )


def _names(taken: Callable[[str], bool]) -> Kind[tuple[str, ...]]:
    kind: Kind[str] = Kind("field name", lambda text: _parse_name(text, taken))
    return list_of(kind, "names of fields", at_least=1, identity=str.lower)


def _renames(taken: Callable[[str], bool]) -> Kind[tuple[Renamed, ...]]:
    def parse(text: str) -> Renamed:
        old, colon, new = (part.strip() for part in text.partition(":"))
        if not colon:
            raise ValueError(f"{text!r} is not an old name and a new one, such as X-Old: X-New")
        return Renamed(_parse_name(old, taken), _parse_name(new, taken))

    return list_of(Kind("renamed field", parse), "`Old: New`", at_least=1, identity=lambda one: one.old.lower())


_BODYLESS = (204, 205, 206, 304)


def parse_status(text: str) -> StatusMap:
    old, colon, new = (part.strip() for part in text.partition(":"))
    if not colon or not re.fullmatch("[2-5](?:[0-9]{2}|xx)", old) or not re.fullmatch("[2-5][0-9]{2}", new):
        raise ValueError(f"{text!r} is not a status and what becomes of it, such as 404: 410 or 5xx: 502")
    status = StatusMap(int(old.removesuffix("xx")), int(new))
    for each in (status.old, status.new):
        if each in _BODYLESS:
            raise ValueError(
                f"{each} says something of the body, so it can't be put in place of another, or be replaced"
            )
    return status


def statuses(maps: tuple[StatusMap, ...]) -> dict[int, int]:
    """By status; one that is named goes before its class."""
    found = {
        old: each.new
        for each in maps
        if each.old < 10
        for old in range(each.old * 100, each.old * 100 + 100)
        if old not in _BODYLESS
    }
    return found | {each.old: each.new for each in maps if each.old > 9}


def parse_member(text: str) -> Path:
    path = tuple(text.split("."))
    if not all(path):
        raise ValueError(f"{text!r} is not a path of a member, such as user.address.city")
    return path


def parse_renamed_member(text: str) -> RenamedMember:
    path, colon, new = (part.strip() for part in text.partition(":"))
    if not colon or not new:
        raise ValueError(f"{text!r} is not a member and its new name, such as user.mail: email")
    return RenamedMember(parse_member(path), new)


MEMBERS = list_of(Kind("member", parse_member, ".".join), "members, such as `user.address.city`", at_least=1)
RENAMED_MEMBERS = list_of(
    Kind("renamed member", parse_renamed_member), "`member: new name`", at_least=1, identity=lambda one: one.path
)
STATUSES = list_of(
    Kind("status", parse_status), "`OLD: NEW`, OLD may be a class as `5xx`", at_least=1, identity=lambda one: one.old
)


_QUERY = re.compile(r"[!$&-;=?-Z_a-z~%]*").fullmatch


def parse_target(text: str) -> Template:
    """A path, and a query if there is one, with variables."""
    template = parse_text(text)
    path, query = split_query(template)
    if "query" in path.variables:
        raise ValueError(f"{text!r} has {{query}} in its path, write ?{{query}} at the end")
    example = "x".join(path.parts[::2])
    if not example.startswith("/"):
        raise ValueError(f"{text!r} doesn't begin with a slash")
    if not is_plain(example.encode("utf-8")):
        raise ValueError(f"{text!r} is not a path that all services read alike")
    if query is not None and not all(_QUERY(part) for part in query.parts[::2]):
        raise ValueError(f"{text!r} has a character that can't stand in a query")
    return template


TARGET: Kind[Template] = Kind("path and query with `{variables}`", parse_target)


def _clashes(key: str, own: RouteRequest | RouteResponse) -> Iterator[tuple[str, str]]:
    """A field of which two things are said."""
    said: dict[str, str] = {}
    named = [("remove", name) for name in own.remove]
    named += [("rename", name) for one in own.rename for name in (one.old, one.new)]
    named += [("set", one.name) for one in own.set]
    for word, name in named:
        other = said.setdefault(name.lower(), word)
        if other != word:
            yield f"{key}.{word}", f"{name} is in {key}.{other} too, keep one of the two"
    news = [one.new.lower() for one in own.rename]
    for one in own.rename:
        if news.count(one.new.lower()) > 1 or one.new.lower() in (other.old.lower() for other in own.rename):
            yield f"{key}.rename", f"{one.new} is here twice, which leaves open what it becomes"
            return


@frozen(kw_only=True)
class RouteRequest:
    set: tuple[FieldText, ...] = option(
        _fields(taken_of_request, True),
        default=(),
        unset="none",
        example="X-Env: prod, X-Client: {client_ip}",
        help="Fields that the service gets in place of the client's.",
    )
    add: tuple[FieldText, ...] = option(
        _fields(taken_of_request, False),
        default=(),
        unset="none",
        example="X-Via-Route: {route}",
        help="Fields that it gets besides those of the client.",
    )
    remove: tuple[str, ...] = option(
        _names(lambda name: taken_of_request(name) and name.lower() != "authorization"),
        default=(),
        unset="none",
        example="X-Debug",
        help="Fields of the client that it doesn't get.",
    )
    rename: tuple[Renamed, ...] = option(
        _renames(taken_of_request),
        default=(),
        unset="none",
        example="X-Old: X-New",
        help="Fields of the client that it gets by another name, in place of what has that name.",
    )

    target: Template | None = option(
        TARGET,
        default=None,
        unset="by `rewrite`, `strip_prefix`",
        example="/v2/users?from={client_ip}&{query}",
        help="What the service is asked for, path and query.",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        yield from _clashes("request", self)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Fields that the service gets by it, with the keys that say so."""
        named = [("request.set", one.name) for one in self.set] + [("request.add", one.name) for one in self.add]
        return named + [("request.rename", one.new) for one in self.rename]


@frozen(kw_only=True)
class ResponseBody:
    select: tuple[Path, ...] = option(
        MEMBERS,
        default=(),
        unset="all",
        example="id, user.name",
        help="Members of the JSON that stay. What is in an array is meant with each item.",
    )
    remove: tuple[Path, ...] = option(
        MEMBERS, default=(), unset="none", example="user.password", help="Members that the client doesn't get."
    )
    rename: tuple[RenamedMember, ...] = option(
        RENAMED_MEMBERS, default=(), unset="none", example="user.mail: email", help="Members by another name."
    )
    wrap: str = option(
        choice("off", "envelope"),
        default="off",
        help='`envelope` makes `{"success": true, "data": ..., "timestamp": ...}` of it where it has no `success`.',
    )
    max: int = option(
        size_between(1, MAX_JSON),
        default=1024**2,
        help="Bytes up to which an answer is kept to be changed, as a whole; larger ones stream.",
    )
    otherwise: str = option(
        choice("pass", "refuse"),
        default="pass",
        help="What becomes of an answer that can't be changed, for it is larger, encoded, broken or no JSON: it passes"
        " as it is, or is 502. Where `remove` or `select` hide something, write `refuse`.",
    )

    @property
    def shape(self) -> Shape:
        return Shape(self.select, self.remove, {one.path: one.new for one in self.rename})

    @property
    def changes(self) -> bool:
        return bool(self.shape) or self.wrap != "off"

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        paths = [one.path for one in self.rename]
        for path in paths:
            if any(path[: len(other)] == other for other in paths if len(other) < len(path)):
                yield "response.body.rename", f"{'.'.join(path)} lies in what is renamed too, write one of the two"
        if not self.changes and self.otherwise != "pass":
            yield "response.body.otherwise", "is of no use without select, remove, rename or wrap"


@frozen(kw_only=True)
class RouteResponse:
    set: tuple[FieldText, ...] = option(
        _fields(taken_of_response, True),
        default=(),
        unset="none",
        example="X-Request: {request_id}",
        help="Fields that the client gets in place of the service's.",
    )
    add: tuple[FieldText, ...] = option(
        _fields(taken_of_response, False),
        default=(),
        unset="none",
        example="Vary: Accept-Language",
        help="Fields that it gets besides those of the service.",
    )
    remove: tuple[str, ...] = option(
        _names(taken_of_response),
        default=(),
        unset="none",
        example="Server, X-Powered-By",
        help="Fields of the service that it doesn't get.",
    )
    rename: tuple[Renamed, ...] = option(
        _renames(taken_of_response),
        default=(),
        unset="none",
        example="X-Old: X-New",
        help="Fields of the service that it gets by another name, in place of what has that name.",
    )
    status: tuple[StatusMap, ...] = option(
        STATUSES,
        default=(),
        unset="as the service says",
        example="404: 410, 5xx: 502",
        help="What a status of the service becomes; the gateway's own errors stay as they are.",
    )
    body: ResponseBody = group(ResponseBody)

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        yield from _clashes("response", self)
        yield from self.body.problems()


def used(own: RouteRequest | RouteResponse) -> Iterator[tuple[str, str]]:
    """Keys, and the variables that stand there."""
    key = "request" if isinstance(own, RouteRequest) else "response"
    for word, fields in (("set", own.set), ("add", own.add)):
        for field in fields:
            for variable in field.value.variables:
                yield f"{key}.{word}", variable
    if isinstance(own, RouteRequest) and own.target is not None:
        for variable in own.target.variables:
            yield "request.target", variable
