"""Where the Resource tree leads."""

from __future__ import annotations

import pytest

from apigw.core import GatewayCore
from apigw.dates import HttpDate
from apigw.finder import refuse
from apigw.pipeline import Route
from apigw.routes import GatewayRoutes, Place
from apigw.web.problem import Problem


def tree() -> tuple[GatewayRoutes, dict[str, Place]]:
    missing = Route("-", "", [], refuse)
    core = GatewayCore(lambda exchange: missing, missing, Problem(False, "apigw", HttpDate()))
    routes = GatewayRoutes(Place(core))
    places = {path: Place(core, missing) for path in ("/health", "/api/v1/auth", "/graphql")}
    for path, place in places.items():
        routes.add(path.encode(), place)
    return routes, places


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/health", "/health"),
        ("/health/ready", "/health"),
        ("/healthy", None),
        ("/api/v1/auth", "/api/v1/auth"),
        ("/api/v1/auth/login", "/api/v1/auth"),
        ("/api/v1/users", None),
        ("/api/v1", None),
        ("/api", None),
        ("/", None),
        ("*", None),
        ("/graphql", "/graphql"),
        # What could be read in several ways is left to the routing of the proxy.
        ("/api/v1/auth/../user/secret", None),
        ("/api/v1/auth/%2e%2e/user", None),
        ("/api//v1/auth/login", None),
        ("/api/v1/auth%2flogin", None),
        ("/health;x=1", None),
    ],
)
def test_a_place_is_found_by_whole_segments_of_a_plain_path(path: str, place: str | None) -> None:
    routes, places = tree()
    assert routes.locate(path.encode()) is (routes.proxy if place is None else places[place])
