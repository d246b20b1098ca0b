import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.kind import RowError
from apigw.config.matching import FIELDS, HOSTS, METHOD_LIST, PATH, PREFIX, REWRITE, FieldMatch


def wrong(kind, text):
    with pytest.raises(ValueError) as caught:
        kind.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "segments", "exact", "rest"),
    [
        ("/", (), False, False),
        ("/api/v1", (b"api", b"v1"), False, False),
        ("=/exact", (b"exact",), True, False),
        ("=/exact/", (b"exact", b""), True, False),
        ("/users/{id}/albums", (b"users", None, b"albums"), False, False),
        ("/files/*", (b"files",), False, True),
        ("/*", (), False, True),
        ("/caf%C3%A9", (b"caf\xc3\xa9",), False, False),
        ("/a+b:c@d$", (b"a+b:c@d$",), False, False),
    ],
)
def test_paths(text, segments, exact, rest):
    pattern = PATH.parse(text).pattern
    assert (pattern.segments, pattern.exact, pattern.rest) == (segments, exact, rest)


def test_paths_are_in_one_form():
    assert str(PATH.parse("/api/")) == "/api"
    assert str(PATH.parse("= /api/")) == "=/api/"


def test_the_shape_of_a_path_has_no_names():
    assert PATH.parse("/users/{id}").shape == PATH.parse("/users/{name}").shape
    assert PATH.parse("/users/%40").shape == PATH.parse("/users/@").shape
    shapes = [PATH.parse(text).shape for text in ("/a", "=/a", "/a/*", "/a/{b}", "/a/b")]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api", "'api' doesn't begin with a slash, write /api"),
        ("=api", "'api' doesn't begin with a slash, write /api"),
        ("http://a/b", "doesn't begin with a slash"),
        ("/a?b=c", "'/a?b=c' goes on after the path, write /a"),
        ("/a#b", "goes on after the path, write /a"),
        ("/a//b", "'/a//b' has two slashes in a row, write /a/b"),
        ("/a/../b", "has the segment '..', write the path that it leads to"),
        ("/a/.", "has the segment '.'"),
        ("/a/%2e%2e/b", "/a/%2e%2e/b has the segment %2e%2e"),
        ("/a%2Fb", "/a%2Fb has the segment a%2Fb"),
        ("/a%zz", "/a%zz has the segment a%zz"),
        ("/a;b", "/a;b has the segment a;b"),
        ("/a/{id", "'{id' is not a name in braces that is a whole segment, such as {id}"),
        ("/a/x{id}", "is not a name in braces"),
        ("/a/{1}", "is not a name in braces"),
        ("/{id}/{id}", "/{id}/{id} has {id} twice"),
        ("/a/*/b", "'/a/*/b': a * stands at the end, as a whole segment; write {name} for any one segment"),
        ("/a/b*", "a * stands at the end"),
        ("/*/*", "a * stands at the end"),
        ("=/a/*", "'=/a/*' is exact and open at its end at once, write /a/*"),
        ("/café", "'café' has a character that can't stand in a path, write caf%C3%A9"),
        ("/a b", "'a b' has a character that can't stand in a path, write a%20b"),
    ],
)
def test_what_is_no_path(text, said):
    assert said in wrong(PATH, text)


@given(st.text(max_size=20) | st.text("/ab{}*=.%2eF;?#é", max_size=20))
def test_any_path_is_read_or_refused(text):
    for candidate in (text, f"/{text}"):
        for kind in (PATH, PREFIX, REWRITE):
            try:
                value = kind.parse(candidate)
            except ValueError:
                continue
            assert kind.parse(kind.render(value)) == value


def test_prefixes_are_literal():
    assert PREFIX.parse("/api/v1") == "/api/v1"
    assert PREFIX.parse("/api/v1/") == "/api/v1"
    for text in ("/api/{v}", "=/api", "/api/*"):
        assert "is a pattern, write the literal beginning of the path" in wrong(PREFIX, text)
    assert wrong(PREFIX, "/") == "'/' would strip nothing, leave the key out"


def test_rewrites():
    assert REWRITE.parse("/internal/users/{id}") == "/internal/users/{id}"
    assert REWRITE.parse("/internal/") == "/internal/"
    assert REWRITE.parse("/internal/*") == "/internal"
    assert REWRITE.parse("/*") == "/"
    assert REWRITE.parse("/") == "/"
    assert "doesn't begin with a slash" in wrong(REWRITE, "http://elsewhere/")


def test_hosts():
    assert HOSTS.parse("API.example.com, *.example.com") == ("api.example.com", "*.example.com")
    assert HOSTS.parse("10.0.0.1\n[0:0::1]") == ("10.0.0.1", "[::1]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.*.com", "'a.*.com': a * may only be the whole first label, such as *.example.com"),
        ("*", "a * may only be the whole first label"),
        ("*a.com", "a * may only be the whole first label"),
        ("example.com:8080", "'example.com:8080' has a port, write example.com: hosts match at any port"),
        ("[::1]:80", "has a port, write [::1]"),
        ("example.com.", "'example.com.' ends with a dot, write example.com"),
        ("*.10.0.0.1", "'*.10.0.0.1': an address has no labels before it, write 10.0.0.1"),
        ("http://example.com", "is not a host name"),
        ("a.com, A.com", "'A.com' is here twice"),
        ("*.", "is not a host name"),
        ("::1", "is not a host name"),
    ],
)
def test_what_is_no_host(text, said):
    assert said in wrong(HOSTS, text)


@given(st.text(max_size=20) | st.text("*.[]:a1-%é", max_size=20))
def test_any_host_is_read_or_refused(text):
    try:
        hosts = HOSTS.parse(text)
    except ValueError:
        return
    assert HOSTS.parse(HOSTS.render(hosts)) == hosts


def test_methods():
    assert METHOD_LIST.parse("GET, POST\nPROPFIND, REPORT") == ("GET", "POST", "PROPFIND", "REPORT")
    assert wrong(METHOD_LIST, "get") == "'get' is not in capitals, write GET"
    assert wrong(METHOD_LIST, "GET POST") == "'GET POST' is not a method, such as GET"
    for text in ("CONNECT", "trace"):
        assert "is never served, leave it out" in wrong(METHOD_LIST, text)


def test_fields_by_comma_or_by_line():
    canary, tier = FieldMatch("x-canary", "yes"), FieldMatch("x-tier", "a, b")
    assert FIELDS.parse("X-Canary: yes") == (canary,)
    assert FIELDS.parse("X-Canary:yes, X-A: 1") == (FieldMatch("x-a", "1"), canary)
    assert FIELDS.parse("\nX-Tier: a, b\nX-Canary: yes") == (canary, tier)
    assert FIELDS.parse(FIELDS.render((canary, tier))) == (canary, tier)
    assert FIELDS.render((canary,)) == "x-canary: yes"


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        ("X-Canary", 0, "'X-Canary' is not a field and its value, such as X-Canary: yes"),
        ("X Canary: yes", 0, "is not a field and its value"),
        ("\nX-A: 1\nX-B:", 2, "'X-B:' has no value of printable ASCII characters, write for example X-B: yes"),
        ("X-A: é", 0, "has no value of printable ASCII characters"),
        ("\nX-A: 1\nx-a: 2", 2, "x-a is here twice, and can't have two values at once"),
    ],
)
def test_what_is_no_field(text, row, said):
    with pytest.raises(RowError) as caught:
        FIELDS.parse(text)
    assert caught.value.row == row
    assert said in str(caught.value)
