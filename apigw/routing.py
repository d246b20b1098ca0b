"""
Finds the route of a request by host, path, method and fields; the most specific one wins.

A trie by path segments for each host: what a look-up costs depends on the depth of the path, not on how many routes
there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from attrs import frozen

from apigw.policy.paths import readings

R = TypeVar("R")
Field = tuple[bytes, bytes]


@frozen
class RouteMatch:
    """
    What a request must be like.

    :ivar path: ``/prefix`` by whole segments, ``=/exact``, ``/with/{one}/segment``, ``/the/rest/*``.
    :ivar hosts: exact names, or ``*.example.com`` for exactly one label; none for any host.
    :ivar methods: none for any; HEAD goes where GET does.
    :ivar headers: names with the value that one of the fields of that name must have.
    """

    path: str
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class NotAllowed(Exception):
    """Routes match but for the method; ``methods`` would be allowed."""

    def __init__(self, methods: Iterable[bytes]) -> None:
        super().__init__()
        self.methods = sorted(methods)


class Ambiguous(Exception):
    """Services could read the path in two ways that lead to different routes."""


class _Leaf(Generic[R]):
    __slots__ = ("headers", "match", "methods", "names", "route")

    def __init__(self, match: RouteMatch, route: R, names: tuple[tuple[str, int], ...]) -> None:
        self.match = match
        self.route = route
        self.names = names
        methods = {method.encode() for method in match.methods}
        if b"GET" in methods:
            methods.add(b"HEAD")
        self.methods = frozenset(methods)
        self.headers = tuple((name.lower().encode(), value.encode()) for name, value in match.headers)


class _Node(Generic[R]):
    """
    :ivar exact: routes whose pattern ends here and nothing may follow.
    :ivar rest: routes with ``*`` from here on.
    :ivar prefix: routes whose pattern ends here and anything may follow.
    """

    __slots__ = ("children", "exact", "param", "prefix", "rest")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node[R]] = {}
        self.param: _Node[R] | None = None
        self.exact: list[_Leaf[R]] = []
        self.rest: list[_Leaf[R]] = []
        self.prefix: list[_Leaf[R]] = []


class RouteTable(Generic[R]):
    """
    :param routes: matches with what they lead to.
    :raises ValueError: two routes match the very same requests; names both paths.

    Specificity, in this order: an exact host before a wildcard before none; then segment by segment a literal before
    ``{one}`` before ``*`` before a prefix that ended earlier; then more conditions on fields; then conditions on the
    method. A route that doesn't take the method makes way for a less specific one that does.
    """

    def __init__(self, routes: Iterable[tuple[RouteMatch, R]]) -> None:
        self._hosts: dict[bytes, _Node[R]] = {}
        self._wildcards: dict[bytes, _Node[R]] = {}
        self._any: _Node[R] = _Node()
        for match, route in routes:
            for host in match.hosts or ("",):
                self._add(self._root(host), match, route)

    def _root(self, host: str) -> _Node[R]:
        name = host.lower().rstrip(".").encode()
        if not name:
            return self._any
        if name.startswith(b"*."):
            return self._wildcards.setdefault(name[2:], _Node())
        return self._hosts.setdefault(name, _Node())

    def _add(self, node: _Node[R], match: RouteMatch, route: R) -> None:
        exact = match.path.startswith("=")
        parts = [part.encode() for part in match.path.removeprefix("=").split("/")[1:]]
        rest = parts[-1] == b"*"
        if rest or (parts[-1] == b"" and not exact):
            parts.pop()
        names: list[tuple[str, int]] = []
        for index, part in enumerate(parts):
            if part.startswith(b"{") and part.endswith(b"}"):
                names.append((part[1:-1].decode(), index))
                if node.param is None:
                    node.param = _Node()
                node = node.param
            else:
                node = node.children.setdefault(part, _Node())
        leaves = node.rest if rest else node.exact if exact else node.prefix
        leaf = _Leaf(match, route, tuple(names))
        for other in leaves:
            if other.methods == leaf.methods and set(other.headers) == set(leaf.headers):
                raise ValueError(f"{match.path} and {other.match.path} match the same requests")
        leaves.append(leaf)
        leaves.sort(key=lambda one: (-len(one.headers), not one.methods))

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
        as_sent, merged = readings(path)
        allowed: set[bytes] = set()
        leaf = self._find(authority, as_sent, method, fields, allowed)
        if merged is not None:
            other = self._find(authority, merged, method, fields, set())
            if (other and other.route) is not (leaf and leaf.route):
                raise Ambiguous
        if leaf is None:
            if allowed:
                raise NotAllowed(allowed)
            return None
        if not leaf.names:
            return leaf.route, {}
        raw = path.split(b"/")
        return leaf.route, {name: raw[index + 1] for name, index in leaf.names}

    def _find(
        self,
        authority: bytes,
        parts: list[bytes],
        method: bytes,
        fields: Sequence[Field],
        allowed: set[bytes],
    ) -> _Leaf[R] | None:
        if self._hosts or self._wildcards:
            host = _host(authority)
            node = self._hosts.get(host)
            if node is not None:
                leaf = _walk(node, parts, 0, method, fields, allowed)
                if leaf is not None:
                    return leaf
            node = self._wildcards.get(host.partition(b".")[2])
            if node is not None:
                leaf = _walk(node, parts, 0, method, fields, allowed)
                if leaf is not None:
                    return leaf
        return _walk(self._any, parts, 0, method, fields, allowed)


def _walk(
    node: _Node[R],
    parts: list[bytes],
    index: int,
    method: bytes,
    fields: Sequence[Field],
    allowed: set[bytes],
) -> _Leaf[R] | None:
    """The most specific leaf from ``node`` on; methods that would do are added to ``allowed``."""
    if index == len(parts):
        return _select(node.exact, method, fields, allowed) or _select(node.prefix, method, fields, allowed)
    part = parts[index]
    child = node.children.get(part)
    if child is not None:
        leaf = _walk(child, parts, index + 1, method, fields, allowed)
        if leaf is not None:
            return leaf
    if node.param is not None and part:
        leaf = _walk(node.param, parts, index + 1, method, fields, allowed)
        if leaf is not None:
            return leaf
    if node.rest:
        leaf = _select(node.rest, method, fields, allowed)
        if leaf is not None:
            return leaf
    return _select(node.prefix, method, fields, allowed) if node.prefix else None


def _select(leaves: list[_Leaf[R]], method: bytes, fields: Sequence[Field], allowed: set[bytes]) -> _Leaf[R] | None:
    for leaf in leaves:
        if leaf.headers and not _has(fields, leaf.headers):
            continue
        if not leaf.methods or method in leaf.methods:
            return leaf
        allowed |= leaf.methods
    return None


def _has(fields: Sequence[Field], wanted: tuple[Field, ...]) -> bool:
    present = {(name.lower(), value) for name, value in fields}
    return all(condition in present for condition in wanted)


def _host(authority: bytes) -> bytes:
    """The name in lower case, without port and trailing dot; an IPv6 literal keeps its brackets."""
    host = authority.lower()
    if host.startswith(b"["):
        return host.partition(b"]")[0] + b"]"
    return host.partition(b":")[0].rstrip(b".")
