"""What a service is asked for, made by a template of what is known of a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote, unquote_to_bytes

from apigw.errors import BadPath
from apigw.messages import Exchange
from apigw.policy.paths import PathRefused, readings
from apigw.policy.queries import parameter_name, without
from apigw.policy.templates import Template, carried, split_query
from apigw.stages.variables import value_of

_MADE = "xMADEx"
_LEADING_ELSEWHERE = b"/\\;"


class MadeTarget:
    """
    Path and query by a template. In the path each variable is a part of one segment: one that is empty, or could lead
    elsewhere, is refused. In the query it is a part of one name or value. Of ``{query}`` are left out the parameters
    that the template has itself: else a client could add a second ``user=``, and many services take the last one.
    """

    def __init__(self, template: Template) -> None:
        path, query = split_query(template)
        self._path = path.bind(_in_path)
        self._query = None if query is None else query.bind(partial(_in_query, _own_names(query)))

    def __call__(self, exchange: Exchange) -> bytes:
        """:raises BadPath: no path can be made of the request."""
        path = self._path(exchange)
        try:
            readings(path)
        except PathRefused as error:
            raise BadPath(f"The path for the service can't be made. {error}") from None
        if self._query is None:
            return path
        query = b"&".join(filter(None, self._query(exchange).split(b"&")))
        return b"%b?%b" % (path, query) if query else path


def _in_path(variable: str) -> Callable[[Exchange], bytes]:
    value = value_of(variable)
    if variable == "path":
        return lambda exchange: value(exchange)[1:]
    raw = variable.startswith("param.")

    def made(exchange: Exchange) -> bytes:
        found = carried(value(exchange))
        if not found:
            raise BadPath("The path for the service can't be made, for something in it is not known.")
        if raw:
            return found
        if any(byte in _LEADING_ELSEWHERE for byte in found):
            raise BadPath("The path for the service can't be made, for something in it is no segment of a path.")
        return quote(found, safe="").encode("ascii")

    return made


def _own_names(query: Template) -> frozenset[bytes]:
    """Names of parameters that a template of a query has, but for those that variables make."""
    parts = [_MADE if index % 2 else part for index, part in enumerate(query.parts)]
    names = [parameter_name(part.encode("utf-8")) for part in "".join(parts).split("&")]
    made = parameter_name(_MADE.encode("utf-8"))
    return frozenset(name for name in names if name and made not in name)


def _in_query(own: frozenset[bytes], variable: str) -> Callable[[Exchange], bytes]:
    value = value_of(variable)
    if variable == "query":
        return (lambda exchange: without(value(exchange), own)) if own else value
    if variable.startswith("param."):
        return lambda exchange: quote(unquote_to_bytes(value(exchange)), safe="").encode("ascii")
    return lambda exchange: quote(value(exchange), safe="").encode("ascii")
