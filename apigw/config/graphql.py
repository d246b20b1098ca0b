"""``[graphql]``: a place for a GraphQL service, and what may be asked there."""

# ruff: noqa: RUF009 (option and group are attrs fields)
from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from apigw.config.files import absolute, read
from apigw.config.kind import Kind, choice, list_of
from apigw.config.matching import PREFIX
from apigw.config.names import NAME
from apigw.config.option import group, option
from apigw.config.streaming import PROTOCOLS, RouteEvents, RouteTunnel
from apigw.config.tokens import ROLES
from apigw.config.units import SWITCH, integer, parse_switch, size_between
from apigw.policy.graphql.persisted import listed
from apigw.policy.graphql.rules import FieldRoles, Rules

_ONLY = "only:"

_FIELD = re.compile(r"(Query|Mutation|Subscription|\*)\.([_A-Za-z][_0-9A-Za-z]*|\*)").fullmatch

DEFAULTS = Rules()


def documents(path: str) -> dict[str, str]:
    """
    The documents of a file, by name.

    :raises ValueError: it can't be read, or is wrong.
    """
    try:
        return listed(read(absolute(path)).decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if path in text else f"{path} {text}") from None


def _parse_persisted(text: str) -> str:
    if text.startswith(_ONLY):
        path = str(absolute(text.removeprefix(_ONLY).strip()))
        documents(path)
        return _ONLY + path
    if text not in ("off", "apq"):
        raise ValueError(f"{text!r} is not off, apq or only:FILE")
    return text


PERSISTED = Kind("`off`, `apq` or `only:FILE`", _parse_persisted)

Introspection = bool | tuple[str, ...]


def _parse_introspection(text: str) -> Introspection:
    try:
        return parse_switch(text)
    except ValueError:
        return ROLES.parse(text)


def _render_introspection(value: Introspection) -> str:
    return SWITCH.render(value) if isinstance(value, bool) else ROLES.render(value)


INTROSPECTION: Kind[Introspection] = Kind(
    "`yes`, `no` or list of roles", _parse_introspection, _render_introspection, lines=True
)


def _parse_field(text: str) -> FieldRoles:
    name, colon, roles = (part.strip() for part in text.partition(":"))
    found = _FIELD(name)
    if found is None or found[0] == "*.*":
        raise ValueError(
            f"{name!r} is not a field such as Query.users, Mutation.* (all of them) or *.salary (wherever it stands)"
        )
    named = tuple(dict.fromkeys(role.strip() for role in roles.split("|")))
    if not colon or not all(named):
        raise ValueError(f"{text!r} names no role, write for example {name}: admin or {name}: admin | editor")
    return FieldRoles(found[1], found[2], named)


FIELDS = list_of(
    Kind("field", _parse_field, lambda one: f"{one.type}.{one.name}: {' | '.join(one.roles)}"),
    "fields and roles",
    identity=lambda one: (one.type, one.name),
)


def _most(high: int) -> Kind[int]:
    return integer(1, high)


@frozen(kw_only=True)
class GraphqlSection:
    """
    A GraphQL service: its requests are passed on at a place of their own, before any route is looked up. What limits
    them needs a package (`pip install apigw[graphql]`); without such options they are passed on as they come.
    """

    path: str = option(PREFIX, default="/graphql", help="Where clients ask; the service gets the same path.")
    service: str | None = option(
        NAME,
        default=None,
        unset="none: there is no such place",
        example="user",
        refers_to="service",
        help="The service that answers.",
    )
    auth: str = option(
        choice("none", "optional", "required"), default="none", help="Whether a token is needed, as for a route."
    )
    firewall: bool | None = option(
        SWITCH,
        default=None,
        unset="`yes` where one of the options from `max_depth` to `roles` is written",
        example="yes",
        help="Read each request, and refuse what asks for more than it may.",
    )
    max_depth: int | None = option(
        _most(1000),
        default=None,
        unset=str(DEFAULTS.depth),
        example="8",
        help="Fields inside each other. What is below `__schema` and `__type` isn't counted.",
    )
    max_cost: int | None = option(
        _most(10**9),
        default=None,
        unset=str(DEFAULTS.cost),
        example="1000",
        help="Of a request: one for each field, times the arguments `first`, `last` or `limit` of the fields that it"
        " stands in.",
    )
    cost_unit: int | None = option(
        _most(10**9),
        default=None,
        unset="the limits count requests",
        example="100",
        help="What of the cost counts as one request in `[limits]`.",
    )
    max_aliases: int | None = option(
        _most(100_000), default=None, unset=str(DEFAULTS.aliases), example="10", help="Of fields, in an operation."
    )
    max_duplicates: int | None = option(
        integer(0, 100_000),
        default=None,
        unset=str(DEFAULTS.duplicates),
        example="5",
        help="Fields that stand beside another of the same name.",
    )
    max_directives: int | None = option(
        integer(0, 100_000), default=None, unset=str(DEFAULTS.directives), example="10", help="In a document."
    )
    max_tokens: int | None = option(
        _most(20_000), default=None, unset=str(DEFAULTS.tokens), example="500", help="In a document."
    )
    max_length: int | None = option(
        size_between(1, 1024**2), default=None, unset="32KiB", example="8KiB", help="Of a document."
    )
    batching: bool = option(SWITCH, default=False, help="Arrays of requests are let through.")
    max_batch: int | None = option(_most(1000), default=None, unset="10", example="5", help="Requests in an array.")
    introspection: Introspection = option(
        INTROSPECTION,
        default=False,
        help="Whether it may be asked for the schema, or roles of which one is needed. Counts once the firewall is on.",
    )
    persisted: str = option(
        PERSISTED,
        default="off",
        help="`apq`: a document that was seen may be named by its hash. `only:FILE`: no other documents than those of a"
        " JSON object of names and documents, or of a manifest of Apollo's tools; the service gets them whole.",
    )
    roles: tuple[FieldRoles, ...] = option(
        FIELDS,
        default=(),
        unset="none needed",
        example="Mutation.*: editor | admin, *.salary: admin",
        help="Fields for which one of some roles is needed: those that operations begin with, or of a name anywhere.",
    )
    max_body: int = option(
        size_between(1, 64 * 1024**2), default=256 * 1024, help="Of a request that is read; 413 past it."
    )
    multipart: bool = option(
        SWITCH,
        default=False,
        help="Uploads of files are let through, else 415. The firewall reads them whole, up to `max_body`.",
    )
    upgrade: tuple[str, ...] = option(
        PROTOCOLS,
        default=(),
        unset="none",
        example="websocket",
        help="For subscriptions, as of a route. The firewall reads each message of a client, by `graphql-transport-ws`"
        " or `graphql-ws`.",
    )
    tunnel: RouteTunnel = group(RouteTunnel)
    events: RouteEvents = group(RouteEvents)

    @property
    def name(self) -> str:
        """Of its route."""
        return "graphql"

    @property
    def limiting(self) -> list[str]:
        """Options that are written and for which requests have to be read."""
        keys = ("max_depth", "max_cost", "cost_unit", "max_aliases", "max_duplicates", "max_directives", "max_tokens")
        found = [key for key in (*keys, "max_length", "max_batch") if getattr(self, key) is not None]
        if self.introspection is not False:
            found.append("introspection")
        if self.persisted != "off":
            found.append("persisted")
        return [*found, *(key for key in ("batching", "roles") if getattr(self, key))]

    @property
    def reads(self) -> bool:
        """The firewall is on."""
        return bool(self.limiting) if self.firewall is None else self.firewall

    @property
    def most_cost(self) -> int:
        return _or(self.max_cost, DEFAULTS.cost)

    def rules(self) -> Rules:
        """
        :raises ValueError: the file of ``persisted`` can't be used any more.
        """
        only = self.persisted.startswith(_ONLY)
        return Rules(
            depth=_or(self.max_depth, DEFAULTS.depth),
            cost=self.most_cost,
            aliases=_or(self.max_aliases, DEFAULTS.aliases),
            duplicates=_or(self.max_duplicates, DEFAULTS.duplicates),
            directives=_or(self.max_directives, DEFAULTS.directives),
            tokens=_or(self.max_tokens, DEFAULTS.tokens),
            length=_or(self.max_length, DEFAULTS.length),
            batch=_or(self.max_batch, 10) if self.batching else 0,
            introspection=self.introspection if isinstance(self.introspection, bool) else frozenset(self.introspection),
            fields=self.roles,
            apq=self.persisted == "apq",
            only=documents(self.persisted.removeprefix(_ONLY)) if only else None,
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        if self.max_batch is not None and not self.batching:
            yield "max_batch", "is of no use without batching = yes, add that"
        if self.reads and set(self.upgrade) - {"websocket"}:
            yield "upgrade", "can't be read by the firewall, write websocket alone or firewall = no"
        if self.auth == "none":
            for key in ("introspection", "roles"):
                value = getattr(self, key)
                if value and value is not True:
                    yield key, "names roles, but nobody is asked who they are: write auth = optional or required"


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
