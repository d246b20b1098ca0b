"""From an exchange to its route, also where there is none."""

from __future__ import annotations

from typing import Any, cast

import pytest

from apigw.errors import MethodNotAllowed, RouteNotFound, VersionMalformed, VersionUnknown
from apigw.finder import VERSION, ProxyRoutes, VersionedRoutes, refuse
from apigw.messages import ClientAddress, Exchange, Request
from apigw.pipeline import Route
from apigw.policy.versions import HEADER, PATH, Source, Versions
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


NEW, OLD, ANY, CLEAN = (Route(name, "", (), refuse) for name in ("new", "old", "any", "clean"))
VERSIONED = RouteTable(
    [
        (RouteMatch("/a"), NEW),
        (RouteMatch("/a", headers=((VERSION, "1"),)), OLD),
        (RouteMatch("/old", methods=("PUT",), headers=((VERSION, "1"),)), ANY),
        (RouteMatch("/clean"), CLEAN),
    ]
)
V1, V9 = (b"X-V", b"1"), (b"X-V", b"9")


def versioned(preflights: bool = False) -> VersionedRoutes:
    versions = Versions((Source(PATH), Source(HEADER, "X-V")), ("1", "2"), "2")
    return VersionedRoutes(VERSIONED, MISSING, WHOLE, preflights, versions, ["clean"])


@pytest.mark.parametrize(
    ("method", "target", "fields", "route", "version", "error"),
    [
        (b"GET", b"/a", [], NEW, "2", None),
        (b"GET", b"/a", [V1], OLD, "1", None),
        (b"GET", b"/a", [(b":version", b"1")], NEW, "2", None),
        (b"PUT", b"/old", [V1], ANY, "1", None),
        (b"PUT", b"/old", [], MISSING, "2", RouteNotFound),
        (b"GET", b"/old", [V1], MISSING, "1", MethodNotAllowed),
        (b"GET", b"/a", [V9], MISSING, "", VersionUnknown),
        (b"GET", b"/a", [V1, V9], MISSING, "", VersionMalformed),
        (b"GET", b"/clean", [V9], CLEAN, "", None),
        (b"GET", b"/clean", [V1], CLEAN, "", None),
        (b"TRACE", b"/a", [V9], MISSING, "", MethodNotAllowed),
        (b"OPTIONS", b"*", [V9], WHOLE, "", None),
    ],
)
def test_routes_are_found_by_the_version(
    method: bytes, target: bytes, fields: Any, route: Route, version: str, error: type[Exception] | None
) -> None:
    asking = exchange(method, target, fields)
    assert versioned()(asking) is route
    assert asking.version == version
    assert type(asking.error) is (error or type(None))


def test_an_unknown_version_in_the_path_is_not_found() -> None:
    for target, fields, status in ((b"/v9", [], 404), (b"/a", [V9], 400)):
        asking = exchange(b"GET", target, fields)
        versioned()(asking)
        assert asking.error is not None
        assert asking.error.status == status
        assert asking.error.detail == "There is no version 9. There are: 1, 2."


def test_a_preflight_finds_the_version_that_has_a_route_for_it() -> None:
    asking = exchange(b"OPTIONS", b"/old", [ORIGIN, (b"Access-Control-Request-Method", b"PUT")])
    assert versioned(preflights=True)(asking) is ANY
    assert (asking.version, asking.error) == ("1", None)
    asking = exchange(b"OPTIONS", b"/none", [ORIGIN, (b"Access-Control-Request-Method", b"PUT")])
    assert versioned(preflights=True)(asking) is MISSING
    assert isinstance(asking.error, RouteNotFound)


def test_operators_are_told_which_version_a_route_wants() -> None:
    told = versioned().why(exchange(b"GET", b"/a", []))
    assert [(route, reason) for _, route, reason in told] == [
        (NEW, None),
        (OLD, "the version is not 1"),
        (ANY, "the path is not /old"),
        (CLEAN, "the path is not /clean"),
    ]
    assert [reason for _, _, reason in versioned().why(exchange(b"GET", b"/a", [V1]))][:2] == [
        "another route is more specific",
        None,
    ]
