"""Options for several services on one route."""

from __future__ import annotations

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from tests.examples import ini_examples

HEAD = "[service:a]\nurls = http://a\n[service:b]\nurls = http://b\n[route:one]\npath = /a\n"


def test_the_example_of_a_split_can_be_loaded() -> None:
    [example] = ini_examples("stages/split.md")
    [route] = loads(example, "gw.ini", {}).routes
    assert route.services == ("user", "user-canary")
    assert [one.weight for one in route.shares] == [95, 5]
    assert (route.service, route.split.on) == (None, "user")


def test_a_service_of_the_environment_that_a_split_names_gets_no_route_of_its_own() -> None:
    environ = {"A_SERVICE_URL": "http://a", "B_SERVICE_URL": "http://b"}
    config = loads("[route:one]\npath = /a\nsplit = a:1, b:0\n", "gw.ini", environ)
    assert [route.name for route in config.routes] == ["one"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "service: is missing, write for example service = user"),
        ("split = a:1, b:1\nservice = a", "split: service is there too, keep one of the two"),
        ("split = a:1", "has 1 items, write 2 or more"),
        ("split = a:1, a:2", "'a:2' is here twice"),
        ("split = a:0, b:0", "has no weight above 0"),
        ("split = a:1, b", "'b' is not a service and its weight, such as user:90"),
        ("split = a:1, b:-1", "'b:-1' is not a service and its weight"),
        ("split = a:1, c:1", r"split: there is no \[service:c\]"),
        ("service = a\nsplit.on = ip", "split.on: is of no use without split"),
        ("split = a:1, b:1\nsplit.on = user", "split.on: is user, but nobody is asked who they are"),
        ("split = a:1, b:1\nsplit.on = chance", "'chance' is not ip, user, path"),
    ],
)
def test_what_is_wrong_is_told(text: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        loads(f"{HEAD}{text}\n", "gw.ini", {})


def test_the_example_of_a_mirror_can_be_loaded() -> None:
    [example] = ini_examples("stages/mirror.md")
    [route] = loads(example, "gw.ini", {}).routes
    assert [str(one) for one in route.copies] == ["user-shadow:5%"]
    assert (route.mirror.max_body, route.mirror.max_in_flight) == (65536, 100)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mirror = b", "'b' is not a service and its share, such as user-shadow:5%"),
        ("mirror = b:5", "'b:5' is not a service and its share"),
        ("mirror = b:101%", "101%"),
        ("mirror = a:5%", "a answers the requests itself, name another service"),
        ("mirror = c:5%", r"there is no \[service:c\]"),
    ],
)
def test_what_is_wrong_with_a_mirror_is_told(text: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        loads(f"{HEAD}service = a\n{text}\n", "gw.ini", {})


def test_the_example_of_an_aggregate_can_be_loaded() -> None:
    [example] = ini_examples("stages/aggregate.md")
    [route] = loads(example, "gw.ini", {}).routes
    assert [str(one) for one in route.parts] == [
        "user:/internal/users/{param.id} as profile",
        "music:/internal/top?{query} as music",
    ]
    assert (route.services, route.takes) == (("user", "music"), ("GET",))
    assert (route.aggregate.failure, route.aggregate.timeout, route.aggregate.max_body) == ("omit", 2.0, 262144)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("aggregate = a:/x", "'a:/x' is not a service, a path and a name"),
        ("aggregate = a:/x as errors", "'errors' can't be the name of a member"),
        ("aggregate = a:/x as one, b:/y as one", "is here twice"),
        ("aggregate = a:x as one", "doesn't begin with a slash"),
        ("aggregate = a:/{param.id} as one", r"aggregate: has {param.id}, but path = /a has no {id}"),
        ("aggregate = a:/{user} as one", "aggregate: has {user}, but nobody is asked who they are"),
        ("aggregate = c:/x as one", r"there is no \[service:c\]"),
        ("aggregate = a:/x as one\nservice = a", "aggregate: service is there too"),
        ("aggregate = a:/x as one\nsplit = a:1, b:1", "aggregate: split is there too"),
        ("aggregate = a:/x as one\nmethods = GET, POST", "methods: is more than aggregate can do"),
        ("aggregate = a:/x as one\nmirror = b:1%", "mirror: is of no use with aggregate"),
        ("aggregate = a:/x as one\nrewrite = /b", "rewrite: is of no use with aggregate"),
        ("aggregate = a:/x as one\nupgrade = websocket", "upgrade: is of no use with aggregate"),
    ],
)
def test_what_is_wrong_with_an_aggregate_is_told(text: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        loads(f"{HEAD}{text}\n", "gw.ini", {})
