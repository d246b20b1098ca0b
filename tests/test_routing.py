"""Routes: who wins, what is refused, and that many routes cost what few do."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.policy.paths import PathRefused, parse_pattern, readings
from apigw.routing import Ambiguous, NotAllowed, RouteMatch, RouteTable, describe

Field = tuple[bytes, bytes]


def table(*routes: str | RouteMatch) -> RouteTable[str]:
    """Routes called by their paths."""
    matches = [RouteMatch(route) if isinstance(route, str) else route for route in routes]
    return RouteTable((match, describe(match)) for match in matches)


def find(routes: RouteTable[str], path: bytes, host: bytes = b"h", method: bytes = b"GET", *fields: Field) -> str:
    found = routes.find(host, path, method, fields)
    return found[0] if found else "none"


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/", "=/"),
        (b"/x", "/"),
        (b"/api", "/api"),
        (b"/api/", "/api"),
        (b"/apis", "/"),
        (b"/api/v1", "/api/*"),
        (b"/api/v1/users", "=/api/v1/users"),
        (b"/api/v1/users/", "/api/v1/users"),
        (b"/api/v1/users/7", "/api/v1/users/{id}"),
        (b"/api/v1/users/me", "/api/v1/users/me"),
        (b"/api/v1/users/7/posts", "/api/v1/users/{id}/posts"),
        (b"/api/v1/users/7/likes", "/api/v1/users/{id}"),
        (b"/api/v1/users/me/posts", "/api/v1/users/me"),
        (b"/api/v1/us%65rs/me", "/api/v1/users/me"),
        (b"/api/v1/Users", "/api/*"),
        (b"/a/b/d", "=/{x}/b/d"),
        (b"/a/b/c/d", "/a/b/c"),
    ],
)
def test_the_most_specific_path_wins(path: bytes, route: str) -> None:
    routes = table(
        "/",
        "=/",
        "/api",
        "/api/*",
        "/api/v1/users",
        "=/api/v1/users",
        "/api/v1/users/{id}",
        "/api/v1/users/me",
        "/api/v1/users/{id}/posts",
        "=/{x}/b/d",
        "/a/b/c",
    )
    assert find(routes, path) == route


def test_it_goes_back_where_a_literal_leads_nowhere() -> None:
    routes = table("=/a/b/c", "=/a/{x}/d", "=/{x}/b/e", "/{x}/{y}/{z}/f")
    assert find(routes, b"/a/b/c") == "=/a/b/c"
    assert find(routes, b"/a/b/d") == "=/a/{x}/d"
    assert find(routes, b"/a/b/e") == "=/{x}/b/e"
    assert find(routes, b"/a/b/c/f") == "/{x}/{y}/{z}/f"
    assert find(routes, b"/a/b/g") == "none"


def test_parameters_are_raw_segments() -> None:
    routes = table("/a/{one}/b/{two}")
    assert routes.find(b"", b"/%61/x%20y/b/%C3%A9/rest", b"GET", ()) == (
        "/a/{one}/b/{two}",
        {"one": b"x%20y", "two": b"%C3%A9"},
    )


@pytest.mark.parametrize("path", b"/public/../admin /admin/%2e%2e/x /x\\y /%00 /% /..;/admin /%252e%252e/a".split())
def test_a_disguised_path_is_refused_by_every_table(path: bytes) -> None:
    for routes in (table("/"), table()):
        with pytest.raises(PathRefused):
            find(routes, path)


@pytest.mark.parametrize(
    "path",
    [
        *(b"//admin /admin%2Fx /%61dmin%2f /public/x%2F..x//y /public%2Fa /admin;x=1/a /admin%3bx".split()),
        *(b"/users/7%2Fkeys /users/7//keys /users//keys /users;x/7/keys".split()),
    ],
)
def test_a_path_that_leads_to_two_routes_is_refused(path: bytes) -> None:
    routes = table("/", "/admin", "=/public/x/..x/y", "/public", "/users/{id}", "/users/{id}/keys", "/users/keys")
    with pytest.raises(Ambiguous):
        find(routes, path)


@pytest.mark.parametrize(
    "path", b"//x /x%2Fy /x//y/ /x;y /files//admin /files/a%2Fb /files/..%41 /users/a%2Fb /users/7//x".split()
)
def test_a_path_that_leads_to_one_route_however_it_is_read_is_fine(path: bytes) -> None:
    assert find(table("/", "/admin", "/files", "/users/{id}"), path) in ("/", "/files", "/users/{id}")


# -- hosts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "route"),
    [
        (b"api.example.com", "/ (host api.example.com)"),
        (b"API.Example.COM:8080", "/ (host api.example.com)"),
        (b"api.example.com.", "/ (host api.example.com)"),
        (b"api.example.com.:80", "/ (host api.example.com)"),
        (b"www.example.com", "/ (host *.example.com)"),
        (b"a.b.example.com", "/ (host *.example.com)"),
        (b"x.eu.example.com", "/ (host *.eu.example.com)"),
        (b"example.com", "/"),
        (b"badexample.com", "/"),
        (b"api.example.com.evil.org", "/"),
        (b"[::1]", "/ (host [::1])"),
        (b"[::1]:8080", "/ (host [::1])"),
        (b"[0:0::0001]:8080", "/ (host [::1])"),
        (b"[::2]", "/"),
        (b"[::zz", "/"),
        (b"[\xff]", "/"),
        (b"", "/"),
    ],
)
def test_the_most_specific_host_wins(host: bytes, route: str) -> None:
    hosts = ("api.example.com", "*.example.com", "*.eu.example.com", "[::1]")
    routes = table("/", *(RouteMatch("/", hosts=(name,)) for name in hosts))
    assert find(routes, b"/x", host) == route


def test_a_host_before_a_path() -> None:
    routes = table(RouteMatch("/", hosts=("a.b",)), RouteMatch("/x", hosts=("*.b",)), "=/x/y")
    assert find(routes, b"/x/y", b"a.b") == "/ (host a.b)"
    assert find(routes, b"/x/y", b"c.b") == "/x (host *.b)"
    assert find(routes, b"/x/y", b"c.d") == "=/x/y"


def test_a_host_whose_routes_do_not_match_makes_way() -> None:
    routes = table(RouteMatch("/a", hosts=("a.b",)), RouteMatch("/b", hosts=("*.b",)), "/c")
    assert find(routes, b"/a", b"a.b") == "/a (host a.b)"
    assert find(routes, b"/b", b"a.b") == "/b (host *.b)"
    assert find(routes, b"/c", b"a.b") == "/c"
    assert find(routes, b"/d", b"a.b") == "none"


def test_a_route_may_have_many_hosts() -> None:
    routes = table(RouteMatch("/", hosts=("a.b", "A.b", "*.c")))
    assert find(routes, b"/", b"a.b") == find(routes, b"/", b"x.c") != "none"
    assert find(routes, b"/", b"c") == "none"


# -- methods -----------------------------------------------------------------------------------------------------------


def test_methods() -> None:
    routes = table(RouteMatch("/a", methods=("GET",)), RouteMatch("/a", methods=("POST", "PUT")), "/a")
    assert find(routes, b"/a") == "/a (method GET)"
    assert find(routes, b"/a", method=b"PUT") == "/a (method POST, PUT)"
    assert find(routes, b"/a", method=b"DELETE") == "/a"
    assert find(routes, b"/a", method=b"get") == "/a"


def test_head_goes_where_get_does_unless_it_has_a_route_of_its_own() -> None:
    get = RouteMatch("/a", methods=("GET",))
    head = RouteMatch("/a", methods=("HEAD", "POST"))
    assert find(table(get, "/"), b"/a", method=b"HEAD") == "/a (method GET)"
    for routes in (table(get, head), table(head, get)):
        assert find(routes, b"/a", method=b"HEAD") == "/a (method HEAD, POST)"
        assert find(routes, b"/a", method=b"GET") == "/a (method GET)"
    assert find(table(head, "/"), b"/a", method=b"GET") == "/"


def test_options_is_a_method_like_others() -> None:
    routes = table(RouteMatch("/a", methods=("GET",)))
    with pytest.raises(NotAllowed):
        find(routes, b"/a", method=b"OPTIONS")
    assert find(table(RouteMatch("/a", methods=("OPTIONS",))), b"/a", method=b"OPTIONS") != "none"


def test_a_wrong_method_tells_all_that_would_do() -> None:
    routes = table(
        RouteMatch("/a/b", methods=("PUT", "GET")),
        RouteMatch("/a/{x}", methods=("PATCH",)),
        RouteMatch("/a", methods=("POST",), headers=(("X-A", "1"),)),
        RouteMatch("/a", methods=("TRACE",), hosts=("other",)),
        RouteMatch("/c", methods=("DELETE",)),
    )
    with pytest.raises(NotAllowed) as caught:
        find(routes, b"/a/b", method=b"DELETE")
    assert caught.value.methods == [b"GET", b"HEAD", b"PATCH", b"PUT"]
    with pytest.raises(NotAllowed) as caught:
        find(routes, b"/a/b", b"h", b"DELETE", (b"x-a", b"1"))
    assert caught.value.methods == [b"GET", b"HEAD", b"PATCH", b"POST", b"PUT"]
    assert find(routes, b"/d", method=b"DELETE") == "none"


def test_a_wrong_method_makes_way_for_a_less_specific_route() -> None:
    routes = table(RouteMatch("/a/b", methods=("GET",)), RouteMatch("/a", methods=("POST",)))
    assert find(routes, b"/a/b", method=b"POST") == "/a (method POST)"


def test_a_path_that_changes_the_method_it_needs_is_refused() -> None:
    routes = table(RouteMatch("/a/b", methods=("GET",)), RouteMatch("/", methods=("POST",)))
    assert find(routes, b"/a/b") == "/a/b (method GET)"
    with pytest.raises(Ambiguous):
        find(routes, b"/a%2Fb")  # nothing as sent, but /a/b for some
    assert find(routes, b"/a%2Fb", method=b"POST") == "/ (method POST)"


# -- fields ------------------------------------------------------------------------------------------------------------

CANARY = (("X-Canary", "yes"),)
BOTH = (("x-canary", "yes"), ("X-Tenant", "a b"))


@pytest.mark.parametrize(
    ("fields", "route"),
    [
        ((), "/a"),
        (((b"x-canary", b"yes"),), "/a (X-Canary: yes)"),
        (((b"X-CANARY", b"yes"), (b"x-tenant", b"b")), "/a (X-Canary: yes)"),
        (((b"X-Tenant", b"a b"), (b"X-Canary", b"yes")), "/a (x-canary: yes; X-Tenant: a b)"),
        (((b"X-Canary", b"Yes"),), "/a"),
        (((b"X-Canary", b"yes please"),), "/a"),
        (((b"X-Canary", b"no"), (b"X-Canary", b"yes")), "/a"),
        (((b"X-Canary-2", b"yes"),), "/a"),
        (((b"X-Tenant", b"a b"),), "/a"),
    ],
)
def test_more_conditions_on_fields_win(fields: tuple[Field, ...], route: str) -> None:
    routes = table("/a", RouteMatch("/a", headers=CANARY), RouteMatch("/a", headers=BOTH))
    assert find(routes, b"/a", b"h", b"GET", *fields) == route


def test_a_condition_on_a_field_before_one_on_the_method() -> None:
    routes = table(RouteMatch("/a", methods=("GET",)), RouteMatch("/a", headers=CANARY))
    assert find(routes, b"/a", b"h", b"GET", (b"X-Canary", b"yes")) == "/a (X-Canary: yes)"
    assert find(routes, b"/a", b"h", b"GET") == "/a (method GET)"


def test_a_path_before_conditions_on_fields() -> None:
    routes = table("/a/b", RouteMatch("/a", headers=CANARY))
    assert find(routes, b"/a/b", b"h", b"GET", (b"X-Canary", b"yes")) == "/a/b"


def test_conditions_on_different_fields_go_by_order() -> None:
    one, other = RouteMatch("/", headers=(("A", "1"),)), RouteMatch("/", headers=(("B", "1"),))
    fields = ((b"B", b"1"), (b"A", b"1"))
    assert find(table(one, other), b"/", b"h", b"GET", *fields) == "/ (A: 1)"
    assert find(table(other, one), b"/", b"h", b"GET", *fields) == "/ (B: 1)"


# -- building ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RouteMatch("/a"), RouteMatch("/a")),
        (RouteMatch("/a"), RouteMatch("/a/")),
        (RouteMatch("/a/{x}"), RouteMatch("/a/{y}")),
        (RouteMatch("/a", ("h", "x")), RouteMatch("/a", ("y", "H"))),
        (RouteMatch("/a", ("*.h",)), RouteMatch("/a", ("*.H",))),
        (RouteMatch("/a", methods=("GET", "PUT")), RouteMatch("/a", methods=("PUT", "POST"))),
        (
            RouteMatch("/a", headers=(("A", "1"), ("B", "2"))),
            RouteMatch("/a", headers=(("b", "2"), ("a", "1"))),
        ),
    ],
)
def test_two_routes_for_the_same_requests_are_refused(one: RouteMatch, other: RouteMatch) -> None:
    with pytest.raises(ValueError, match="match the same requests") as caught:
        table(one, other)
    assert describe(one) in str(caught.value)
    assert describe(other) in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RouteMatch("/a"), RouteMatch("=/a")),
        (RouteMatch("/a"), RouteMatch("/a/*")),
        (RouteMatch("/a"), RouteMatch("/A")),
        (RouteMatch("=/a"), RouteMatch("=/a/")),
        (RouteMatch("/a", ("h",)), RouteMatch("/a", ("*.h",))),
        (RouteMatch("/a", methods=("GET",)), RouteMatch("/a", methods=("HEAD",))),
        (RouteMatch("/a", methods=("GET",)), RouteMatch("/a")),
        (RouteMatch("/a", headers=(("A", "1"),)), RouteMatch("/a", headers=(("A", "2"),))),
    ],
)
def test_two_routes_for_different_requests_are_fine(one: RouteMatch, other: RouteMatch) -> None:
    assert len(table(one, other).why(b"", b"/", b"GET", ())) == 2


def test_other_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="slash"):
        table("a")
    with pytest.raises(ValueError, match="two values of one field"):
        table(RouteMatch("/a", headers=(("A", "1"), ("a", "2"))))


# -- why ---------------------------------------------------------------------------------------------------------------


def test_why_the_others_lost() -> None:
    matches = [
        RouteMatch("/"),
        RouteMatch("/a", hosts=("x.y", "*.z")),
        RouteMatch("/a", methods=("PUT",)),
        RouteMatch("/a", headers=CANARY),
        RouteMatch("/a", hosts=("*.h",), methods=("GET",)),
        RouteMatch("/b"),
    ]
    routes = RouteTable((match, index) for index, match in enumerate(matches))
    assert routes.why(b"q.h:80", b"/a/x", b"HEAD", ()) == [
        (0, "another route is more specific"),
        (1, "the host is not x.y or *.z"),
        (2, "the method is not PUT"),
        (3, "the field X-Canary is not yes"),
        (4, None),
        (5, "the path is not /b"),
    ]


def test_why_nothing_got_it() -> None:
    routes = table("/a", RouteMatch("/", methods=("GET",)))
    assert routes.why(b"", b"/..", b"GET", ()) == [
        ("/a", "The path has a dot segment."),
        ("/ (method GET)", "The path has a dot segment."),
    ]
    two = "the path can be read in two ways that lead to different routes"
    assert routes.why(b"", b"//a", b"GET", ()) == [("/a", two), ("/ (method GET)", two)]
    assert routes.why(b"", b"/b", b"PUT", ()) == [
        ("/a", "the path is not /a"),
        ("/ (method GET)", "the method is not GET"),
    ]


# -- against a plain reading of the rules ------------------------------------------------------------------------------

HOSTS = ((), ("h",), ("*.h",), ("*.g.h",), ("a.h", "g.h"))
METHODS = ((), ("GET",), ("POST", "HEAD"))
HEADERS = ((), (("X", "1"),), (("X", "1"), ("Y", "2")))
SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y}"])


@st.composite
def matches(draw: st.DrawFn) -> RouteMatch:
    segments = draw(st.lists(SEGMENTS, max_size=3, unique=True))
    exact, rest = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    path = "=" * exact + "/" + "/".join([*segments, *["*"] * rest])
    return RouteMatch(
        path, draw(st.sampled_from(HOSTS)), draw(st.sampled_from(METHODS)), draw(st.sampled_from(HEADERS))
    )


def host_rank(match: RouteMatch, host: str) -> int:
    """0 where it doesn't match, else more for more specific."""
    if not match.hosts:
        return 1
    ranks = [0]
    for name in match.hosts:
        if name == host:
            ranks.append(1000)
        elif name.startswith("*.") and host.endswith(name[1:]) and len(host) > len(name) - 1:
            ranks.append(1 + len(name))
    return max(ranks)


def rank(match: RouteMatch, host: str, reading: list[bytes], method: str, fields: dict[str, str]) -> tuple[object, ...]:
    """Empty where it doesn't match, else greater for more specific."""
    pattern = parse_pattern(match.path)
    methods = {*match.methods, *(["HEAD"] if "GET" in match.methods else [])}
    if (
        not host_rank(match, host)
        or not pattern.matches(reading)
        or (methods and method not in methods)
        or any(fields.get(name) != value for name, value in match.headers)
    ):
        return ()
    path: list[int] = [4 if segment is not None else 3 for segment in pattern.segments]
    path.append(2 if pattern.rest else 1 if pattern.exact else 0)
    own = 0 if not methods else 2 if method in match.methods else 1
    return host_rank(match, host), path, len(match.headers), own


PATHS = st.lists(
    st.sampled_from(["/a", "/b", "/c", "/", "/a%2fb", "/%61", "/b;x", "/%20", "//b"]), min_size=1, max_size=4
).map(lambda parts: "".join(parts).encode())


@given(
    st.lists(matches(), max_size=8),
    PATHS,
    st.sampled_from(["h", "a.h", "g.h", "x.g.h", "k"]),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.sampled_from([{}, {"X": "1"}, {"Y": "2", "X": "1"}]),
)
def test_the_winner_is_the_one_that_the_rules_name(
    wanted: list[RouteMatch], path: bytes, host: str, method: str, fields: dict[str, str]
) -> None:
    try:
        routes = RouteTable((match, index) for index, match in enumerate(wanted))
    except ValueError as error:
        assert "match the same requests" in str(error)
        return
    winners = []
    for reading in readings(path):
        ranks = {index: rank(match, host, reading, method, fields) for index, match in enumerate(wanted)}
        best = max(ranks.values(), default=())
        winners.append([index for index, one in ranks.items() if one == best] if best else [])
    arguments = host.encode(), path, method.encode(), [(n.encode(), v.encode()) for n, v in fields.items()]
    try:
        found = routes.find(*arguments)
    except Ambiguous:
        assert any(winner != winners[0] for winner in winners)
    except NotAllowed as error:
        assert winners[0] == []
        assert method.encode() not in error.methods
    else:
        assert winners == [[found[0]] if found else []] * len(winners)
        told = routes.why(*arguments)
        assert [route for route, reason in told if reason is None] == ([found[0]] if found else [])


@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=8))
def test_no_request_is_too_odd(path: bytes, host: bytes, method: bytes) -> None:
    routes = table("/", RouteMatch("/a/{x}", ("h", "*.h", "[::1]"), ("GET",), CANARY), "=/b", "/c/*")
    try:
        routes.find(host, b"/" + path, method, [(path, host)])
    except (PathRefused, Ambiguous, NotAllowed):
        pass


# -- cost --------------------------------------------------------------------------------------------------------------


def calls(routes: RouteTable[int], path: bytes, host: bytes, fields: list[Field]) -> int:
    """How many functions and loops' turns a look-up takes: its cost, apart from the machine's mood."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        assert routes.find(host, path, b"GET", fields) is not None
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("spread", ["paths", "hosts", "fields", "parameters"])
def test_a_thousand_routes_cost_what_ten_do(spread: str) -> None:
    costs = set()
    for size in (10, 1000):
        made = {
            "paths": [RouteMatch(f"/api/v{i % 7}/r{i}") for i in range(size)],
            "hosts": [RouteMatch("/api/{x}/r", hosts=(f"h{i}.x",)) for i in range(size)],
            "fields": [RouteMatch("/api", headers=(("X-Tenant", f"t{i}"),)) for i in range(size)],
            "parameters": [RouteMatch(f"/api/{{x}}/r{i}/{{y}}") for i in range(size)],
        }[spread]
        routes = RouteTable((match, index) for index, match in enumerate(made))
        path = {
            "paths": b"/api/v0/r7",
            "hosts": b"/api/1/r",
            "fields": b"/api",
            "parameters": b"/api/1/r7/2",
        }[spread]
        costs.add(calls(routes, path, b"h7.x", [(b"x-tenant", b"t7"), (b"Accept", b"*/*")]))
    assert len(costs) == 1
