"""What is wrong between sections, as the loader tells it."""

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors

USER = "[service:user]\nurls = http://a\n"


def problems(text):
    try:
        loads(text, "f", {})
    except ConfigErrors as errors:
        return str(errors).split("\n")
    return []


def test_a_route_names_a_service_that_is_there():
    assert problems(f"{USER}[route:a]\npath = /a\nservice = usr\n") == [
        "f:5: [route:a] service: there is no [service:usr], did you mean user?"
    ]
    assert problems(f"{USER}[route:a]\npath = /a\nservice = elephant\n") == [
        "f:5: [route:a] service: there is no [service:elephant], add [service:elephant]"
    ]


def test_a_service_with_errors_is_there_all_the_same():
    text = "[service:user]\nurls = x\n[route:a]\npath = /a\nservice = user\n"
    assert problems(text) == ["f:2: [service:user] urls: 'x' has no scheme, write http://x"]


def test_a_service_needs_no_route():
    assert problems(USER) == []


def test_demo_services_need_the_demo():
    text = "[service:user]\nurls = demo:user\n"
    said = ["f:2: [service:user] urls: 'demo:user' needs enabled = yes in [demo]"]
    assert problems(text) == said
    assert problems(f"{text}[demo]\nenabled = no\n") == said
    assert problems(f"{text}[demo]\nenabled = yes\n") == []
    assert problems(f"{text}[demo]\nenabled = si\n") == [
        "f:4: [demo] enabled: 'si' is neither yes nor no, write yes, on or true, or no, off or false"
    ]


def test_two_listeners_do_not_share_an_endpoint():
    text = "[listener:a]\nendpoint = tcp:80\n[listener:b]\nendpoint = tcp:80:interface=127.0.0.1\n"
    assert problems(text) == [
        "f:4: [listener:b] endpoint: 'tcp:80:interface=127.0.0.1' is taken by [listener:a] (f:2),"
        " write another port or address"
    ]


def test_two_listeners_without_an_endpoint_share_the_default():
    assert problems("[listener:a]\n[listener:b]\n") == [
        "f:2: [listener:b] endpoint: 'tcp:8080' is taken by [listener:a], write another port or address"
    ]


def routes(one, other):
    return problems(f"{USER}[route:a]\nservice = user\n{one}\n[route:b]\nservice = user\n{other}\n")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("path = /a", "path = /a"),
        ("path = /a", "path = /a/"),
        ("path = /{a}", "path = /{b}"),
        ("path = /a\nhost = x.com, y.com", "path = /a\nhost = z.com, X.com"),
        ("path = /a\nmethods = GET, POST", "path = /a\nmethods = POST"),
        ("path = /a\nheaders = X: 1, Y: 2", "path = /a\nheaders = y: 2, x: 1"),
    ],
)
def test_two_routes_do_not_match_the_same(one, other):
    [error] = routes(one, other)
    assert error.startswith("f:")
    assert "[route:b] path: '/" in error
    assert error.endswith("matches the same requests as [route:a] (f:5), change one of the two")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("path = /a", "path = /b"),
        ("path = /a", "path = =/a"),
        ("path = /a", "path = /a/*"),
        ("path = /{a}", "path = /a"),
        ("path = /a", "path = /a\nhost = x.com"),
        ("path = /a\nhost = *.x.com", "path = /a\nhost = y.x.com"),
        ("path = /a", "path = /a\nmethods = GET"),
        ("path = /a\nmethods = GET", "path = /a\nmethods = POST"),
        ("path = /a\nheaders = X: 1", "path = /a\nheaders = X: 2"),
    ],
)
def test_routes_may_differ_in_anything(one, other):
    assert routes(one, other) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "path = /api/v1\nstrip_prefix = /api/v",
            "strip_prefix: /api/v is not how /api/v1 begins; it must fit path = /api/v1",
        ),
        (
            "path = /users/{id}\nrewrite = /u/{name}",
            "rewrite: /u/{name} has {name}, which /users/{id} does not name; it must fit path = /users/{id}",
        ),
        ("path = /a\nstrip_prefix = /a\nrewrite = /b", "rewrite: strip_prefix is there too, keep one of the two"),
    ],
)
def test_a_path_is_changed_in_a_way_that_fits_it(lines, said):
    [error] = problems(f"{USER}[route:a]\nservice = user\n{lines}\n")
    assert error.endswith(f"[route:a] {said}")


@pytest.mark.parametrize(
    "lines",
    [
        "path = /api/v1\nstrip_prefix = /api",
        "path = /api/v1\nstrip_prefix = /api/v1",
        "path = =/api/v1\nstrip_prefix = /api",
        "path = /api/{v}\nstrip_prefix = /api",
        "path = /users/{id}\nrewrite = /u/{id}/x",
        "path = /a/*\nrewrite = /b/*",
    ],
)
def test_ways_that_fit(lines):
    assert problems(f"{USER}[route:a]\nservice = user\n{lines}\n") == []
