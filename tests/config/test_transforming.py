"""Options of transformations."""

from __future__ import annotations

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from apigw.config.transforming import STATUSES, statuses
from tests.examples import ini_examples

HEAD = "[service:a]\nurls = http://a\n[route:one]\npath = /a/{id}\nservice = a\n"


def test_the_example_can_be_loaded() -> None:
    [example] = ini_examples("stages/transform.md")
    [route] = loads(example, "gw.ini", {}).routes
    assert [str(one) for one in route.request.set] == ["X-Env: prod", "X-Client: {client_ip}"]
    assert route.response.body.select == (("id",), ("name",), ("orders", "total"))
    assert route.response.body.otherwise == "refuse"


def test_fields_with_commas_stand_on_lines() -> None:
    [route] = loads(HEAD + "request.set =\n  X-A: one, two\n  X-B: {param.id}\n", "gw.ini", {}).routes
    assert [str(one) for one in route.request.set] == ["X-A: one, two", "X-B: {param.id}"]


def test_a_status_goes_before_its_class() -> None:
    found = statuses(STATUSES.parse("5xx: 502, 503: 500, 2xx: 200"))
    assert (found[500], found[503], found[599]) == (502, 500, 502)
    assert {204, 205, 206, 304}.isdisjoint(found)
    assert STATUSES.render(STATUSES.parse("5xx: 502, 404: 410")) == "5xx: 502, 404: 410"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("request.set = X-A: {usr}", r"there is no variable {usr}, did you mean user\?"),
        ("request.set = X-A: {claim}", "there is no variable {claim}"),
        ("request.set = X-A: {user", "has a brace without its other"),
        ("request.set = X-A: a}", "has a brace without its other"),
        ("request.set = X-A", "is not a field and its value"),
        ("request.set =\n  X-A: b, X-B: c\n  X-C: d", "looks like two fields"),
        ("request.set = X A: b", "is not the name of a field"),
        ("request.set = X-A: a\x01b", "control character"),
        ("request.set = X-A: a, x-a: b", "is here twice"),
        ("request.set = X-A: {user}", "has {user}, but nobody is asked"),
        ("response.add = X-A: {claim.org}", "has {claim.org}, but nobody is asked"),
        ("request.set = X-A: {param.no}", "has {param.no}, but path = /a/{id} has no {no}"),
        ("request.set = X-A: {field.X-User-Id}", "not a field that clients may say something by"),
        ("request.set = X-User-Id: 1", "X-User-Id is the gateway's own affair"),
        ("request.set = X_User.Role: 1", "X_User.Role is the gateway's own affair"),
        ("request.add = Transfer-Encoding: chunked", "own affair"),
        ("request.add = Content-Length: 0", "own affair"),
        ("request.set = Authorization: Basic x", "own affair"),
        ("request.set = X-Api-Version: 1", "own affair"),
        ("request.rename = X-Mine: X-User-Id", "own affair"),
        ("request.rename = X-Request-Id: X-Mine", "own affair"),
        ("request.remove = Host", "own affair"),
        ("response.set = Connection: close", "own affair"),
        ("response.set = X-Request-Id: {path}", "own affair"),
        ("response.remove = Content-Length", "own affair"),
        ("response.rename = Date: X-Date", "own affair"),
        ("request.set = X-A: 1\nrequest.remove = x-a", "is in request.remove too"),
        ("response.rename = X-A: X-B\nresponse.set = X-B: 1", "is in response.rename too"),
        ("request.rename = X-A: X-C, X-B: X-C", "X-C is here twice"),
        ("request.rename = X-A: X-B, X-B: X-C", "X-B is here twice"),
        ("request.rename = X-A: X-B\ncache = on", "would let the cache mix up answers"),
        ("request.target = a/{path}", "doesn't begin with a slash"),
        ("request.target = {path}", "doesn't begin with a slash"),
        ("request.target = /a/../{path}", "is not a path that all services read alike"),
        ("request.target = /a b", "is not a path that all services read alike"),
        ("request.target = /{query}", "has {query} in its path"),
        ("request.target = /a?b#c", "can't stand in a query"),
        ("request.target = /{claim.org}", "has {claim.org}, but nobody is asked"),
        ("request.target = /{param.x}", "has {param.x}, but path"),
        ("request.target = /b\ncache = on", "would let the cache mix up answers"),
        ("request.target = /b\nrewrite = /c", "is there too, keep one of them"),
        ("response.status = 404", "is not a status and what becomes of it"),
        ("response.status = 404: 999", "is not a status and what becomes of it"),
        ("response.status = 200: 204", "204 says something of the body"),
        ("response.status = 304: 200", "304 says something of the body"),
        ("response.body.select = a..b", "is not a path of a member"),
        ("response.body.rename = a", "is not a member and its new name"),
        ("response.body.rename = a: b, a.c: d", "lies in what is renamed too"),
        ("response.body.otherwise = refuse", "is of no use without"),
        ("response.body.max = 1GiB", "is not from"),
        ("request.set = X-Org: 1\n[identity]\nclaims = X-Org: org", "X-Org is a field of .identity."),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        loads(f"{HEAD}{text}\n", "gw.ini", {})
