"""
Finds the route of a request by host, path, method and fields; the most specific one wins.

A trie by path segments for each host: what a look-up costs depends on the depth of the path, not on how many routes
there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Generic, TypeVar

from attrs import frozen

from apigw.policy.paths import PathRefused, Pattern, parse_pattern, readings

R = TypeVar("R")
Field = tuple[bytes, bytes]


@frozen
class RouteMatch:
    """
    What a request must be like.

    :ivar path: a pattern, see :func:`~apigw.policy.paths.parse_pattern`.
    :ivar hosts: exact names, or ``*.example.com`` for one label or more before it; none for any host.
    :ivar methods: none for any; HEAD goes where GET does, unless it has a route of its own.
    :ivar headers: names with the whole value that the field must have; repeated fields count as one with their values
        joined by commas (RFC 9110 section 5.3).
    """

    path: str
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class NotAllowed(Exception):
    """Routes match but for the method; ``methods``, sorted, would be allowed."""

    def __init__(self, methods: Iterable[bytes]) -> None:
        super().__init__()
        self.methods = sorted(methods)


class Ambiguous(Exception):
    """Services could read the path in two ways that lead to different routes."""


class _Leaf(Generic[R]):
    """:ivar names: of path parameters, with the index of their segment in a path split at slashes."""

    __slots__ = ("match", "names", "route")

    def __init__(self, match: RouteMatch, pattern: Pattern, route: R) -> None:
        self.match = match
        self.route = route
        places = [index + 1 for index, segment in enumerate(pattern.segments) if segment is None]
        self.names = tuple(zip(pattern.names, places, strict=True))


class _Methods(Generic[R]):
    """
    Routes that differ in their methods only.

    :ivar named: by method; HEAD too where GET is.
    :ivar other: the route for any other method.
    """

    __slots__ = ("explicit", "named", "other")

    def __init__(self) -> None:
        self.named: dict[bytes, _Leaf[R]] = {}
        self.explicit: dict[bytes, _Leaf[R]] = {}
        self.other: _Leaf[R] | None = None

    def add(self, leaf: _Leaf[R]) -> None:
        methods = [method.encode("ascii") for method in leaf.match.methods]
        rivals = [self.explicit.get(method) for method in methods] if methods else [self.other]
        for rival in filter(None, rivals):
            raise ValueError(f"{describe(leaf.match)} and {describe(rival.match)} match the same requests")
        if not methods:
            self.other = leaf
        self.explicit.update(dict.fromkeys(methods, leaf))
        self.named = dict(self.explicit)
        if b"GET" in self.named:
            self.named.setdefault(b"HEAD", self.named[b"GET"])


class _End(Generic[R]):
    """
    Routes of one pattern.

    :ivar plain: those without conditions on fields.
    :ivar conditions: the others, by the names of the fields and then by their values; more names first.
    """

    __slots__ = ("conditions", "plain")

    def __init__(self) -> None:
        self.plain: _Methods[R] = _Methods()
        self.conditions: dict[tuple[bytes, ...], dict[tuple[bytes | None, ...], _Methods[R]]] = {}

    def add(self, leaf: _Leaf[R]) -> None:
        headers = sorted((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in leaf.match.headers)
        if not headers:
            self.plain.add(leaf)
            return
        names, values = zip(*headers, strict=True)
        if len(set(names)) < len(names):
            raise ValueError(f"{describe(leaf.match)} wants two values of one field")
        self.conditions.setdefault(names, {}).setdefault(values, _Methods()).add(leaf)
        self.conditions = dict(sorted(self.conditions.items(), key=lambda item: -len(item[0])))

    def pick(self, method: bytes, fields: Sequence[Field]) -> _Leaf[R] | None:
        if self.conditions:
            for methods in self._meeting(fields):
                leaf = methods.named.get(method) or methods.other
                if leaf is not None:
                    return leaf
        plain = self.plain
        return plain.named.get(method) or plain.other

    def allowed(self, fields: Sequence[Field]) -> Iterator[bytes]:
        for methods in self._meeting(fields):
            yield from methods.named
        yield from self.plain.named

    def _meeting(self, fields: Sequence[Field]) -> Iterator[_Methods[R]]:
        if self.conditions:
            present = _joined(fields)
            for names, by_values in self.conditions.items():
                methods = by_values.get(tuple([present.get(name) for name in names]))
                if methods is not None:
                    yield methods


class _Node(Generic[R]):
    """
    :ivar children: by literal segment, decoded.
    :ivar param: for a segment that may be anything but empty.
    :ivar exact: routes whose pattern ends here and nothing may follow.
    :ivar rest: routes with ``*`` from here on.
    :ivar prefix: routes whose pattern ends here and anything may follow.
    """

    __slots__ = ("children", "exact", "param", "prefix", "rest")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node[R]] = {}
        self.param: _Node[R] | None = None
        self.exact: _End[R] | None = None
        self.rest: _End[R] | None = None
        self.prefix: _End[R] | None = None

    def add(self, pattern: Pattern, leaf: _Leaf[R]) -> None:
        node = self
        for segment in pattern.segments:
            if segment is not None:
                node = node.children.setdefault(segment, _Node())
            else:
                node.param = node.param or _Node()
                node = node.param
        kind = "exact" if pattern.exact else "rest" if pattern.rest else "prefix"
        end: _End[R] = getattr(node, kind) or _End()
        end.add(leaf)
        setattr(node, kind, end)

    def find(self, path: list[bytes], index: int, method: bytes, fields: Sequence[Field]) -> _Leaf[R] | None:
        """
        The most specific leaf from here on.

        :param path: a reading of the path.
        :param index: of the segment after those that led here.
        """
        if index < len(path):
            segment = path[index]
            child = self.children.get(segment)
            if child is not None:
                leaf = child.find(path, index + 1, method, fields)
                if leaf is not None:
                    return leaf
            if self.param is not None and segment:
                leaf = self.param.find(path, index + 1, method, fields)
                if leaf is not None:
                    return leaf
            if self.rest is not None and (segment or index + 1 < len(path)):
                leaf = self.rest.pick(method, fields)
                if leaf is not None:
                    return leaf
        elif self.exact is not None:
            leaf = self.exact.pick(method, fields)
            if leaf is not None:
                return leaf
        return self.prefix.pick(method, fields) if self.prefix is not None else None

    def ends(self, path: list[bytes], index: int) -> Iterator[_End[R]]:
        """All that :meth:`find` looks at while nothing fits."""
        if index < len(path):
            segment = path[index]
            child = self.children.get(segment)
            if child is not None:
                yield from child.ends(path, index + 1)
            if self.param is not None and segment:
                yield from self.param.ends(path, index + 1)
            if self.rest is not None and (segment or index + 1 < len(path)):
                yield self.rest
        elif self.exact is not None:
            yield self.exact
        if self.prefix is not None:
            yield self.prefix


class RouteTable(Generic[R]):
    """
    :param routes: matches with what they lead to.
    :raises ValueError: a path is no pattern, or two routes match the same requests; names both.

    A request goes to the most specific of the routes all of whose conditions it meets. Specificity, in this order: an
    exact host before a wildcard, a longer one first, before none; then segment by segment a literal before ``{one}``
    before ``*`` before a pattern that ended; then an exact pattern before a prefix; then more conditions on fields;
    then conditions on the method. What is equal in all this and differs in the names of fields goes by the order of
    ``routes``.
    """

    def __init__(self, routes: Iterable[tuple[RouteMatch, R]] = ()) -> None:
        self._routes: list[tuple[RouteMatch, R]] = []
        self._hosts: dict[bytes, _Node[R]] = {}
        self._wildcards: dict[bytes, _Node[R]] = {}
        self._any: _Node[R] = _Node()
        self._anywhere = [self._any]
        self._named = False
        for match, route in routes:
            self.add(match, route)

    def add(self, match: RouteMatch, route: R) -> None:
        """One more. :raises ValueError: as at first."""
        self._routes.append((match, route))
        pattern = parse_pattern(match.path)
        for root in {id(root): root for root in map(self._root, match.hosts or ("",))}.values():
            root.add(pattern, _Leaf(match, pattern, route))
        self._named = bool(self._hosts or self._wildcards)

    @property
    def matches(self) -> list[RouteMatch]:
        """In the order of :meth:`why`."""
        return [match for match, _ in self._routes]

    def _root(self, host: str) -> _Node[R]:
        if not host:
            return self._any
        if host.startswith("*."):
            return self._wildcards.setdefault(_name(host[2:].encode("ascii")), _Node())
        return self._hosts.setdefault(_name(host.encode("ascii")), _Node())

    def find(
        self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]
    ) -> tuple[R, dict[str, bytes]] | None:
        """
        The route of a request.

        :param authority: host and port as the client named them; the port doesn't matter.
        :param path: raw, without the query.
        :return: the route and the raw segments that its pattern gives names, or None.
        :raises NotAllowed: only the method is wrong.
        :raises Ambiguous: two readings of the path lead to different routes.
        :raises apigw.policy.paths.PathRefused: the path isn't acceptable to any route.
        """
        found = readings(path)
        if self._named:
            roots = self._roots(authority)
            leaf = _find(roots, found[0], method, fields)
        else:
            roots = self._anywhere
            leaf = self._any.find(found[0], 1, method, fields)
        if len(found) > 1 and any(_find(roots, other, method, fields) is not leaf for other in found[1:]):
            raise Ambiguous
        if leaf is None:
            allowed = {name for root in roots for end in root.ends(found[0], 1) for name in end.allowed(fields)}
            if allowed:
                raise NotAllowed(allowed)
            return None
        if not leaf.names:
            return leaf.route, {}
        raw = path.split(b"/")
        return leaf.route, {name: raw[index] for name, index in leaf.names}

    def _roots(self, authority: bytes) -> list[_Node[R]]:
        """Where to look, the most specific first."""
        roots = []
        host = _name(authority)
        if host in self._hosts:
            roots.append(self._hosts[host])
        while self._wildcards and host:
            host = host.partition(b".")[2]
            if host in self._wildcards:
                roots.append(self._wildcards[host])
        roots.append(self._any)
        return roots

    def why(self, authority: bytes, path: bytes, method: bytes, fields: Sequence[Field]) -> list[tuple[R, str | None]]:
        """
        All routes in their order, each with the reason why it didn't get the request, None for the one that did.

        Looks at each route: for people, not for the way of a request. Parameters as for :meth:`find`.
        """
        winner = None
        ambiguous = False
        try:
            found = self.find(authority, path, method, fields)
            winner = found and found[0]
        except PathRefused as error:
            return [(route, str(error)) for _, route in self._routes]
        except Ambiguous:
            ambiguous = True
        except NotAllowed:
            pass
        host = _name(authority)
        ways = readings(path)
        told: list[tuple[R, str | None]] = []
        for match, route in self._routes:
            misses = [_miss(match, host, way, method, fields) for way in ways]
            reason = misses[0]
            if ambiguous and None in misses:
                reason = "the path can be read in two ways that lead to different routes"
            elif reason is None and route is not winner:
                reason = "another route is more specific"
            told.append((route, reason))
        return told


def describe(match: RouteMatch) -> str:
    """A match in one line, for people."""
    parts = [match.path]
    if match.hosts:
        parts.append(f"host {', '.join(match.hosts)}")
    if match.methods:
        parts.append(f"method {', '.join(match.methods)}")
    parts += [f"{name}: {value}" for name, value in match.headers]
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({'; '.join(parts[1:])})"


def _find(roots: Sequence[_Node[R]], path: list[bytes], method: bytes, fields: Sequence[Field]) -> _Leaf[R] | None:
    for root in roots:
        leaf = root.find(path, 1, method, fields)
        if leaf is not None:
            return leaf
    return None


def _joined(fields: Sequence[Field]) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        name = name.lower()
        found[name] = found[name] + b", " + value if name in found else value
    return found


def _name(authority: bytes) -> bytes:
    """The host without port and final dot, in lower case; an IPv6 address in brackets, in its shortest form."""
    host = authority.lower()
    if not host.startswith(b"["):
        return host.partition(b":")[0].removesuffix(b".")
    try:
        return b"[%b]" % str(IPv6Address(host[1:].partition(b"]")[0].decode("latin-1"))).encode("ascii")
    except AddressValueError:
        return host


def _miss(match: RouteMatch, host: bytes, path: list[bytes], method: bytes, fields: Sequence[Field]) -> str | None:
    """The first condition that a request doesn't meet, None where it meets all."""
    if match.hosts and not any(_covers(name.encode("ascii"), host) for name in match.hosts):
        return f"the host is not {' or '.join(match.hosts)}"
    if not parse_pattern(match.path).matches(path):
        return f"the path is not {match.path}"
    present = _joined(fields)
    for name, value in match.headers:
        if present.get(name.lower().encode("ascii")) != value.encode("latin-1"):
            return f"the field {name} is not {value}"
    methods = {method.decode("latin-1"), "GET"} if method == b"HEAD" else {method.decode("latin-1")}
    if match.methods and methods.isdisjoint(match.methods):
        return f"the method is not {' or '.join(match.methods)}"
    return None


def _covers(pattern: bytes, host: bytes) -> bool:
    if pattern.startswith(b"*."):
        return host.endswith(b"." + _name(pattern[2:]))
    return host == _name(pattern)
