"""What documents ask for."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from graphql import get_introspection_query

from apigw.policy.graphql.document import HUGE, Document, read
from apigw.policy.graphql.refused import Refused


def only(text: str, tokens: int = 1000) -> Any:
    return read(text, tokens).chosen(None)


def cost(text: str, **variables: Any) -> int:
    found: int = only(text).cost(variables)
    return found


def refused(text: str, tokens: int = 1000) -> str:
    with pytest.raises(Refused) as caught:
        read(text, tokens)
    return caught.value.rule


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("{ a }", 1),
        ("{ a { b { c } } d }", 3),
        ("{ a { ... { b } } }", 2),
        ("{ a { ... on T { ...F } } } fragment F on T { b { c } }", 3),
        ("{ __schema { types { name } } }", 1),
        ("{ __typename }", 1),
    ],
)
def test_depth(text: str, depth: int) -> None:
    assert only(text).selection.depth == depth


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a b c }", 3),
        ("{ a { b c } }", 3),
        ("{ a(first: 10) { b } }", 11),
        ("{ a(last: 10) { b(limit: 5) { c d } } }", 1 + 10 * (1 + 5 * 2)),
        ("{ a(first: 10, limit: 20) { b } }", 21),
        ("{ a(first: 0) { b } c(first: -3) { d } }", 2 + 4),
        ('{ a(first: "30") { b } }', 31),
        ("{ a(page: {limit: 7}) { b } }", 8),
        ("{ a(x: [{y: {last: 9}}]) { b } }", 10),
        ("{ a(first: 10) { ...F } } fragment F on T { b c(first: 2) { d } }", 1 + 10 * (1 + 1 + 2)),
        ("{ a(first: 99999999999999999999) { b(first: 99999999999999999999) { c } } }", HUGE),
        ("{ a(other: 10) { b } }", 2),
    ],
)
def test_cost(text: str, expected: int) -> None:
    assert cost(text) == expected


@pytest.mark.parametrize(
    ("declared", "argument", "variables", "factor"),
    [
        ("$n: Int", "first: $n", {"n": 10}, 10),
        ("$n: Int", "first: $n", {"n": 10.0}, 10),
        ("$n: Int", "first: $n", {"n": "10"}, 10),
        ("$n: Int", "first: $n", {"n": -10}, 10),
        ("$n: Int", "first: $n", {"n": True}, 1),
        ("$n: Int", "first: $n", {"n": None}, 1),
        ("$n: Int", "first: $n", {}, 1),
        ("$n: Int", "first: $n", {"n": float("inf")}, 10**9),
        ("$n: Int = 20", "first: $n", {}, 20),
        ("$n: Int = 20", "first: $n", {"n": 3}, 3),
        ("$p: Page", "page: $p", {"p": {"limit": 6}}, 6),
        ("$p: Page = {limit: 8}", "page: $p", {}, 8),
        ("$p: [Page]", "pages: $p", {"p": [{"x": {"last": 4}}, {"first": 2}]}, 4),
        ("$n: Int", "page: {limit: $n}", {"n": 5}, 5),
        ("$n: Int", "first: 7, limit: $n", {"n": 5}, 7),
        ("$n: Int", "other: $n", {"n": 50}, 1),
    ],
)
def test_cost_by_variables(declared: str, argument: str, variables: dict[str, Any], factor: int) -> None:
    assert cost(f"query({declared}) {{ a({argument}) {{ b }} }}", **variables) == 1 + factor
    fragment = f"query({declared}) {{ ...F x {{ ...F }} }} fragment F on T {{ a({argument}) {{ b }} }}"
    assert cost(fragment, **variables) == 1 + 2 * (1 + factor)


def test_what_is_counted_of_a_document() -> None:
    text = "query Q($v: Int @d) @d { a: b @d(x: 1) b b ...F ...F ... @d { c } }"
    text += "fragment F on T @d { e: f ...G @d } fragment G on T { g }"
    document = read(text, 1000)
    assert document.directives == 6
    assert document.duplicates == 2
    assert document.names == {"b", "c", "f", "g"}
    operation = document.chosen("Q")
    assert operation.selection.aliases == 3
    assert operation.roots == {"b", "c", "f", "g"}
    assert (operation.kind, operation.name) == ("query", "Q")


def test_names_below_are_no_roots() -> None:
    operation = only("mutation { a { b ...F } } fragment F on T { c }")
    assert operation.roots == {"a"}


def test_introspection() -> None:
    whole = read(get_introspection_query(), 1000)
    assert whole.introspects
    assert whole.chosen(None).selection.introspected == 1
    assert (
        only(
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
        ).selection.introspected
        == 3
    )
    assert (
        only(
            "{ ...F } fragment F on Query { __type(name: 1) { fields { type { interfaces { name } } } } }"
        ).selection.introspected
        == 2
    )
    assert only("{ fields { fields { fields { a } } } }").selection.introspected == 0
    assert read("{ _service { sdl } }", 99).introspects
    assert not read("{ __typename service }", 99).introspects


def test_the_operation_that_is_meant() -> None:
    document = read("query A { a } mutation B { b }", 99)
    assert document.chosen("B").kind == "mutation"
    for name in (None, "", "C"):
        with pytest.raises(Refused):
            document.chosen(name)
    assert read("query A { a }", 99).chosen("").name == "A"
    with pytest.raises(Refused):
        read("query A { a }", 99).chosen("a")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "syntax"),
        ("{", "syntax"),
        ("fragment F on T { a }", "syntax"),
        ("type T { a: Int }", "syntax"),
        ("{ a } type T { a: Int }", "syntax"),
        ("{ a } { b }", "syntax"),
        ("{ a } query B { b }", "syntax"),
        ("query A { a } query A { b }", "syntax"),
        ("{ ...F }", "syntax"),
        ("{ ...F } fragment F on T { a } fragment F on T { b }", "syntax"),
        ("{ ...F } fragment F on T { ...F }", "cycle"),
        ("{ a } fragment F on T { b { ...G } } fragment G on T { ... { ...F } }", "cycle"),
        ("{" + "a " * 1000 + "}", "tokens"),
        ('{ a(b: "\n") }', "syntax"),
    ],
)
def test_what_is_no_document(text: str, rule: str) -> None:
    assert refused(text) == rule


def test_what_is_nested_too_deeply() -> None:
    for text in (
        "{a" * 5000 + "}" * 5000,
        "{a(b:" + "[" * 5000 + "]" * 5000 + ")}",
        "{" + "...{" * 5000 + "a" + "}" * 5001,
    ):
        assert refused(text, 50_000) in ("depth", "syntax")


def bombs() -> dict[str, str]:
    doubling = "".join(f"fragment F{i} on T{{...F{i + 1} x{{...F{i + 1}}}}}" for i in range(60))
    scaled = "".join(f"fragment F{i} on T{{x(first:$n){{...F{i + 1}}}y(first:$n){{...F{i + 1}}}}}" for i in range(35))
    return {
        "doubling": "{...F0}" + doubling + "fragment F60 on T{a}",
        "scaled": "query($n:Int){...F0}" + scaled + "fragment F35 on T{a}",
        "chain": "{...F0}"
        + "".join(f"fragment F{i} on T{{...F{i + 1}}}" for i in range(110))
        + "fragment F110 on T{a}",
        "wide": "{" + "a " * 990 + "}",
        "spreads": "{" + "...F " * 490 + "} fragment F on T{a}",
        "arguments": "query($n:Int){" + "a(x:$n){b}" * 90 + "}",
        "numbers": "{a(first:" + "9" * 30_000 + "){b}}",
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_bombs_take_little_time(name: str) -> None:
    begun = process_time()
    document: Document = read(bombs()[name], 1000)
    found = document.chosen(None).cost({"n": 1000, "more": {str(i): {"first": i} for i in range(1000)}})
    assert process_time() - begun < 0.5
    assert 0 < found <= HUGE
