"""What may be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from apigw.policy.graphql.asked import Asked, read_body
from apigw.policy.graphql.refused import Refused
from apigw.policy.graphql.rules import FieldRoles, Firewall, Judged, Rules, digest


def asked(query: str | None = None, **more: Any) -> Asked:
    given = {"query": query, **more}
    return Asked(
        query, more.get("operation"), more.get("variables", {}), more.get("id", ""), more.get("hashed", False), given
    )


def judge(rules: Rules, one: Asked | list[Asked], roles: list[str] | None = None, reads: bool = False) -> Judged:
    return Firewall(rules).judge(one, roles, reads)


def refusal(rules: Rules, one: Asked | list[Asked], roles: list[str] | None = None, reads: bool = False) -> Refused:
    with pytest.raises(Refused) as caught:
        judge(rules, one, roles, reads)
    return caught.value


@pytest.mark.parametrize(
    ("rules", "within", "beyond", "rule"),
    [
        (Rules(depth=2), "{a{b}}", "{a{b{c}}}", "depth"),
        (Rules(cost=3), "{a b c}", "{a b c d}", "cost"),
        (Rules(aliases=1), "{x:a}", "{x:a y:a}", "aliases"),
        (Rules(duplicates=1), "{a a}", "{a a a}", "duplicates"),
        (Rules(directives=1), "{a @b}", "{a @b @b}", "directives"),
        (Rules(tokens=4), "{a b}", "{a b c}", "tokens"),
        (Rules(length=3), "{a}", "{a }", "length"),
        (Rules(length=4), "{a}", "{a#ü", "length"),
    ],
)
def test_bounds(rules: Rules, within: str, beyond: str, rule: str) -> None:
    judge(rules, asked(within))
    found = refusal(rules, asked(beyond))
    assert (found.rule, found.well_formed) == (rule, True)


def test_what_is_told_of_an_operation() -> None:
    assert judge(Rules(), asked("query Q { a b }")) == Judged("Q", "query", 2)
    two = [asked("{a}"), asked("mutation {b c}")]
    assert judge(Rules(batch=2), two) == Judged("", "batch", 3, (None, None))
    assert judge(Rules(batch=2), two[1:]) == Judged("", "mutation", 2)


def test_batches() -> None:
    assert refusal(Rules(), [asked("{a}")]).rule == "batch"
    assert refusal(Rules(batch=1), [asked("{a}")] * 2).rule == "batch"
    assert refusal(Rules(batch=2, cost=3), [asked("{a b}")] * 2).rule == "cost"


def test_a_safe_method_changes_nothing() -> None:
    found = refusal(Rules(), asked("query A {a} mutation B {b}", operation="B"), reads=True)
    assert (found.rule, found.status) == ("safe-method", 405)
    assert judge(Rules(), asked("query A {a} mutation B {b}", operation="A"), reads=True).kind == "query"


def test_introspection() -> None:
    query = asked("{__schema{types{name}}}")
    assert refusal(Rules(), query).rule == "introspection"
    judge(Rules(introspection=True), query)
    rules = Rules(introspection=frozenset(("dev",)))
    judge(rules, query, ["dev", "x"])
    assert refusal(rules, query).status == 401
    assert refusal(rules, query, ["x"]).status == 403
    deep = asked("{__schema{types{fields{type{fields{type{fields{name}}}}}}}}")
    assert refusal(Rules(introspection=True), deep).rule == "introspection"
    judge(Rules(), asked("{__typename}"))


@pytest.mark.parametrize(
    ("field", "query", "needed"),
    [
        (("Query", "a"), "{a}", True),
        (("Query", "a"), "{x:a}", True),
        (("Query", "a"), "{...F} fragment F on Query {a}", True),
        (("Query", "a"), "{b{a}}", False),
        (("Query", "a"), "mutation {a}", False),
        (("Mutation", "*"), "mutation {a}", True),
        (("Mutation", "*"), "{a}", False),
        (("Subscription", "a"), "subscription {a}", True),
        (("*", "a"), "{b{...F}} fragment F on T {a}", True),
        (("*", "a"), "{b}", False),
    ],
)
def test_fields_by_role(field: tuple[str, str], query: str, needed: bool) -> None:
    rules = Rules(fields=(FieldRoles(*field, ("admin", "hr")),))
    judge(rules, asked(query), ["hr"])
    if needed:
        assert refusal(rules, asked(query)).status == 401
        assert refusal(rules, asked(query), ["other"]).status == 403
    else:
        judge(rules, asked(query))


def test_documents_by_their_hash() -> None:
    text = "{a}"
    named = asked(id=digest(text), hashed=True)
    firewall = Firewall(Rules(apq=True))
    with pytest.raises(Refused, match="PersistedQueryNotFound"):
        firewall.judge(named, None)
    firewall.judge(asked(text, id=digest(text), hashed=True), None)
    assert firewall.judge(named, None).queries == (None,)
    assert refusal(Rules(apq=True), asked(text, id=digest("{b}"), hashed=True)).rule == "persisted"
    assert str(refusal(Rules(), named)) == "PersistedQueryNotSupported"
    assert str(refusal(Rules(apq=True), asked(text, id="name"))) == "PersistedQueryNotSupported"


def test_rules_count_for_documents_by_their_hash_each_time() -> None:
    text = "query($n: Int) {a(first: $n) {b}}"
    firewall = Firewall(Rules(apq=True, cost=10))
    firewall.judge(asked(text), None)
    named = {"id": digest(text), "hashed": True}
    firewall.judge(asked(variables={"n": 9}, **named), None)
    with pytest.raises(Refused, match="costs 11"):
        firewall.judge(asked(variables={"n": 10}, **named), None)


def test_documents_of_a_list() -> None:
    text, other = "query A {a}", "query B {b}"
    rules = Rules(only={"one": text, digest(other): other})
    assert judge(rules, asked(text)).queries == (None,)
    assert judge(rules, asked(text, id="one")).queries == (None,)
    assert judge(rules, asked(text, id=digest(text), hashed=True)).queries == (None,)
    for name in ("one", digest(text)):
        assert judge(rules, asked(id=name)).queries == (text,)
    assert judge(rules, asked(id=digest(other), hashed=True)).queries == (other,)
    for one in (asked("{a}"), asked(id="two"), asked(text, id=digest(other)), asked(other, id="one")):
        assert refusal(rules, one).rule == "persisted"


def test_what_documents_ask_for_is_remembered_within_bounds() -> None:
    firewall = Firewall(Rules(), kept=22)
    known = [firewall._read(digest(text), text) for text in ("{a b}", "{c d}", "{e f}")]
    assert firewall._known(digest("{a b}")) is known[0]
    firewall._read(digest("{g h}"), "{g h}")
    assert firewall._known(digest("{c d}")) is None
    assert firewall._known(digest("{a b}")) is known[0]
    large = "{" + "x " * 50 + "}"
    firewall._read(digest(large), large)
    assert list(firewall._documents) == [digest(large)]


def test_a_request_as_it_comes() -> None:
    body = b'{"query": "query($n: Int) { a(first: $n) { b } }", "variables": {"n": 3}}'
    assert judge(Rules(), read_body(body)).cost == 4
