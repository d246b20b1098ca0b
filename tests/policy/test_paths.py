"""Paths: in how many ways they can be read, what patterns mean, and rewriting."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apigw.policy.paths import PathRefused, Rewrite, parse_pattern, readings

PIECES = st.sampled_from(
    [
        *(b"/ // a b .. . ... ; %2f %2F %2e %2E. .%2e %252e %252f %25 %00 %5c \\ %c0%ae %e0%80%af ..;x %3b".split()),
        *(b"%20 %zz % %0a %C3%A9 %f0%80%80%ae x y * ~ :@!$&'()+,=".split()),
    ]
)
PATHS = st.lists(PIECES, max_size=8).map(b"".join).map(b"/".__add__)


def refused(path: bytes) -> str:
    with pytest.raises(PathRefused) as caught:
        readings(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/", [b""]),
        (b"/a", [b"a"]),
        (b"/a/", [b"a", b""]),
        (b"/api/v1/users", [b"api", b"v1", b"users"]),
        (b"/.well-known/acme", [b".well-known", b"acme"]),
        (b"/...", [b"..."]),
        (b"/..a/.b", [b"..a", b".b"]),
        (b"/[x]|^~:@!$&'()*+,=", [b"[x]|^~:@!$&'()*+,="]),
        (b"/a%20b", [b"a b"]),
        (b"/%41", [b"A"]),
        (b"/100%25", [b"100%"]),
        (b"/%E9", [b"\xe9"]),
        (b"/%C3%A9", b"\xc3\xa9".split()),
        (b"/a%2520b", [b"a%20b"]),
    ],
)
def test_there_is_one_way_to_read(path: bytes, segments: list[bytes]) -> None:
    assert readings(path) == [[b"", *segments]]


@pytest.mark.parametrize(
    ("path", "ways"),
    [
        (b"/a%2Fb", [[b"a/b"], [b"a", b"b"]]),
        (b"/a//b", [[b"a", b"", b"b"], [b"a", b"b"]]),
        (b"//a", [[b"", b"a"], [b"a"]]),
        (b"/a//", [[b"a", b"", b""], [b"a", b""]]),
        (b"/a;v=1/b", [[b"a;v=1", b"b"], [b"a", b"b"]]),
        (b"/a%3Bv/b", [[b"a;v", b"b"], [b"a", b"b"]]),
        (
            b"/a%2f/b",
            [[b"a/", b"b"], [b"a", b"", b"b"], [b"a", b"b"]],
        ),
        (
            b"/a//b%2fc",
            [[b"a", b"", b"b/c"], [b"a", b"", b"b", b"c"], [b"a", b"b/c"], [b"a", b"b", b"c"]],
        ),
        (b"/a%252Fb", [[b"a%2Fb"]]),
    ],
)
def test_there_are_more_ways_to_read(path: bytes, ways: list[list[bytes]]) -> None:
    assert readings(path) == [[b"", *way] for way in ways]


@pytest.mark.parametrize(
    "path",
    [
        *(b"/. /.. /a/. /a/.. /a/../b /./a /../ /a/./b /%2e /%2E%2e /.%2e/a /a/%2e%2e /..;/a /..;x=1/a".split()),
        *(b"/a/..;x /..%3b/a /%2e%2e%3bx /a%2f..%2fb /a%2f%2e%2e /..%2fa /a%2F.".split()),
        *(b"/%252e%252e/a /.%252e /a/..%252fb /%252e /..%255ca".split()),
        *(b"//.. /a//../b /;/../a".split()),
    ],
)
def test_dot_segments_are_refused(path: bytes) -> None:
    assert refused(path) == "The path has a dot segment."


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (b"/a\\b", "backslash"),
        (b"/a%5cb", "backslash"),
        (b"/..%5Cb", "backslash"),
        (b"/a%00", "control"),
        (b"/a%0d%0ab", "control"),
        (b"/a\x00b", "control"),
        (b"/%7f", "control"),
        (b"/%", "per cent"),
        (b"/%2", "per cent"),
        (b"/%zz", "per cent"),
        (b"/%u002e", "per cent"),
        (b"/%c0%ae%c0%ae/a", "longer"),
        (b"/a%c0%afb", "longer"),
        (b"/%e0%80%ae", "longer"),
        (b"/%f0%80%80%ae", "longer"),
        (b"", "slash"),
        (b"*", "slash"),
        (b"a/b", "slash"),
        (b"http://a/", "slash"),
    ],
)
def test_other_disguises_are_refused(path: bytes, word: str) -> None:
    assert word in refused(path)


@given(st.one_of(PATHS, st.binary(max_size=40), st.binary(max_size=40).map(b"/".__add__)))
@example(b"/;a%2f//..x")
def test_all_readings_of_any_path_are_harmless(path: bytes) -> None:
    try:
        found = readings(path)
    except PathRefused:
        return
    assert found[0] == [unquote_to_bytes(segment) for segment in path.split(b"/")]
    for reading in found:
        assert reading[0] == b""
        assert not {b".", b".."} & {segment.split(b";")[0] for segment in b"/".join(reading).split(b"/")}
        assert not any(byte < 0x20 or byte in b"\\\x7f" for byte in b"".join(reading))
    assert len(found) == len({tuple(reading) for reading in found})


@given(PATHS)
def test_the_readings_hold_those_of_common_services(path: bytes) -> None:
    try:
        found = readings(path)
    except PathRefused:
        return
    decoded = unquote_to_bytes(path).split(b"/")
    assert decoded in found  # WSGI
    assert [b"", *filter(None, decoded[1:-1]), decoded[-1]] in found  # nginx, merge_slashes
    bare = [unquote_to_bytes(segment).partition(b";")[0] for segment in path.split(b"/")]
    assert bare in found  # servlets
    assert [b"", *filter(None, bare[1:-1]), bare[-1]] in found


# -- patterns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("/", b"/ /a /a/b", b""),
        ("=/", b"/", b"/a /a/"),
        ("/a", b"/a /a/ /a/b /a/b/c", b"/ /ab /A /b/a"),
        ("/a/", b"/a /a/ /a/b", b"/ /ab"),
        ("=/a", b"/a /%61", b"/ /a/ /a/b"),
        ("=/a/", b"/a/", b"/a /a/b"),
        ("/a/*", b"/a/b /a/b/c /a/b/", b"/a /a/ /b/c"),
        ("/*", b"/a /a/b", b"/"),
        ("/a/{id}", b"/a/b /a/b/c /a/%2e.x", b"/a /a/ /b/c"),
        ("=/a/{id}/c", b"/a/b/c", b"/a/b /a//c /a/b/c/ /a/b/c/d"),
        ("/{x}/{y}/*", b"/a/b/c", b"/a/b /a/b/ /a//c"),
        ("/a%20b", b"/a%20b /a%20b/c", b"/a /a+b"),
    ],
)
def test_a_pattern_matches(text: str, yes: bytes, no: bytes) -> None:
    pattern = parse_pattern(text)
    for path in yes.split():
        assert pattern.matches(readings(path)[0]), path
    for path in no.split():
        assert not pattern.matches(readings(path)[0]), path


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "slash"),
        ("=", "slash"),
        ("a", "slash"),
        ("=/a/*", "exact"),
        ("/a/*/b", "segment"),
        ("/a*", "segment"),
        ("/{id", "segment"),
        ("/{1}", "segment"),
        ("/{a}b", "segment"),
        ("/{a}/{a}", "twice"),
        ("/a//b", "empty"),
        ("//", "empty"),
        ("/a/../b", "more than one way"),
        ("/%2e", "more than one way"),
        ("/a%2Fb", "more than one way"),
        ("/a%", "more than one way"),
        ("/a;b", "segment"),
        ("/a?b", "segment"),
        ("/é", "%XX"),
    ],
)
def test_it_is_no_pattern(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_pattern(text)


# -- rewriting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "strip", "path", "made"),
    [
        ("/api/v1", "/api/v1", b"/api/v1/users/7", b"/users/7"),
        ("/api/v1", "/api/v1", b"/api/v1", b"/"),
        ("/api/v1", "/api/v1", b"/api/v1/", b"/"),
        ("/api/v1", "/api", b"/api/v1/users", b"/v1/users"),
        ("/api", "/api", b"/api//x%2Fy/", b"//x%2Fy/"),
        ("/api", "/api", b"/%61pi/x", b"/x"),
        ("/api/{id}", "/api", b"/api/7", b"/7"),
        ("=/api/a", "/api", b"/api/a", b"/a"),
        ("=/api", "/api", b"/api", b"/"),
        ("/api/*", "/api", b"/api/x", b"/x"),
        ("/api", "/", b"/api/x", b"/api/x"),
    ],
)
def test_a_prefix_is_stripped(pattern: str, strip: str, path: bytes, made: bytes) -> None:
    assert Rewrite(pattern, strip_prefix=strip).apply(path, {}) == made


@pytest.mark.parametrize(
    ("pattern", "template", "path", "made"),
    [
        ("/api/v1/users/{id}", "/internal/users/{id}", b"/api/v1/users/7/posts", b"/internal/users/7/posts"),
        ("/api/v1/users/{id}", "/internal/users/{id}", b"/api/v1/users/a%2Fb", b"/internal/users/a%2Fb"),
        ("/{a}/{b}", "/{b}/x/{a}", b"/1/2/3", b"/2/x/1/3"),
        ("/files/*", "/static", b"/files/a//b", b"/static/a//b"),
        ("/files", "/", b"/files/a", b"/a"),
        ("/files", "/", b"/files", b"/"),
        ("/files", "/static/", b"/files/a", b"/static/a"),
        ("/files", "/static/", b"/files", b"/static/"),
        ("/files", "/static", b"/files/", b"/static/"),
        ("=/files/", "/static", b"/files/", b"/static"),
        ("=/files", "/static/", b"/files", b"/static/"),
        ("/", "/x", b"/a/b", b"/x/a/b"),
        ("/", "/x", b"/", b"/x/"),
    ],
)
def test_a_template_replaces_what_matched(pattern: str, template: str, path: bytes, made: bytes) -> None:
    matched = parse_pattern(pattern)
    raw = path.split(b"/")[1:]
    values = [raw[index] for index, segment in enumerate(matched.segments) if segment is None]
    params = dict(zip(matched.names, values, strict=True))
    assert Rewrite(pattern, template=template).apply(path, params) == made


def test_nothing_to_rewrite() -> None:
    rewrite = Rewrite("/api/{id}")
    assert not rewrite.changes
    assert rewrite.apply(b"/api/7//x", {"id": b"7"}) == b"/api/7//x"
    assert Rewrite("/api", strip_prefix="/api").changes
    assert Rewrite("/api", template="/").changes


@pytest.mark.parametrize(
    ("strip", "template", "word"),
    [
        ("/b", None, "begins"),
        ("/a/b/c", None, "begins"),
        ("/a/{id}", None, "begins"),
        (None, "/x/{other}", "other"),
        (None, "x", "not a path"),
        (None, "/x/*", "not a path"),
        (None, "/x?y=1", "not a path"),
        (None, "/x{id}", "not a path"),
        (None, "/../x", "not a path"),
        (None, "/x y", "not a path"),
    ],
)
def test_it_is_no_rewrite(strip: str | None, template: str | None, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Rewrite("/a/{id}", strip, template)


@given(
    PATHS,
    st.sampled_from(["/a", "/a/{x}", "/{x}/b", "/a/*", "/"]),
    st.sampled_from(["/", "/i", "/i/", "/i/j"]),
)
def test_a_path_made_is_a_path_and_no_other(path: bytes, pattern: str, template: str) -> None:
    try:
        found = readings(path)
    except PathRefused:
        return
    if parse_pattern(pattern).matches(found[0]):
        made = Rewrite(pattern, template=template).apply(path, {"x": b"1"})
        assert readings(made)[0][-1] in (found[0][-1], *template.encode().split(b"/"))
