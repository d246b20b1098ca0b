"""From an exchange to its route, also where there is none."""

from __future__ import annotations

from typing import Any, cast

import pytest

from apigw.errors import MethodNotAllowed
from apigw.finder import ProxyRoutes, refuse
from apigw.messages import ClientAddress, Exchange, Request
from apigw.pipeline import Route
from apigw.routing import RouteMatch, RouteTable

MISSING, WHOLE, READ, WRITE = (Route(name, "", (), refuse) for name in ("missing", "whole", "read", "write"))
TABLE = RouteTable([(RouteMatch("/a", methods=("GET",)), READ), (RouteMatch("/a", methods=("PUT",)), WRITE)])


def exchange(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> Exchange:
    client = ClientAddress("192.0.2.1", 1, b"http")
    return Exchange(
        Request(method, target, target, b"", b"h", fields, (), b"HTTP/1.1", client, {}), cast("Any", None), 0.0
    )


ORIGIN = (b"Origin", b"https://a.test")


@pytest.mark.parametrize(
    ("method", "asked", "here", "elsewhere"),
    [
        (b"GET", b"PUT", READ, READ),
        (b"OPTIONS", b"PUT", WRITE, MISSING),
        (b"OPTIONS", b"GET", READ, MISSING),
        (b"OPTIONS", b"DELETE", MISSING, MISSING),
    ],
)
def test_a_preflight_is_routed_as_what_it_asks_leave_for_where_it_is_answered_here(
    method: bytes, asked: bytes, here: Route, elsewhere: Route
) -> None:
    fields = [ORIGIN, (b"Access-Control-Request-Method", asked)]
    for preflights, route in ((True, here), (False, elsewhere)):
        assert ProxyRoutes(TABLE, MISSING, WHOLE, preflights)(exchange(method, b"/a", fields)) is route


def test_an_options_request_without_origin_is_no_preflight() -> None:
    asking = exchange(b"OPTIONS", b"/a", [(b"Access-Control-Request-Method", b"PUT")])
    assert ProxyRoutes(TABLE, MISSING, WHOLE, preflights=True)(asking) is MISSING
    assert isinstance(asking.error, MethodNotAllowed)


def test_the_whole_server_has_a_route() -> None:
    assert ProxyRoutes(TABLE, MISSING, WHOLE)(exchange(b"OPTIONS", b"*", [])) is WHOLE
