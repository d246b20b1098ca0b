"""``[graphql]``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apigw.config import ConfigErrors, GatewayConfig
from apigw.config.graphql import documents
from apigw.config.loader import loads
from apigw.policy.graphql.rules import FieldRoles, Rules
from tests.examples import ini_examples

BASE = "[service:graph]\nurls = http://127.0.0.1:1\n[jwt]\nsecret_env = JWT_SECRET\n"
ENVIRON = {"JWT_SECRET": "0123456789abcdef0123456789abcdef"}


def load(own: str, more: str = "") -> GatewayConfig:
    return loads(f"{BASE}{more}\n[graphql]\nservice = graph\n{own}", "f", ENVIRON)


def errors(own: str, more: str = "") -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(own, more)
    return [f"{error.key}: {error.message}" for error in caught.value.errors]


def test_the_example_in_the_documentation_is_right() -> None:
    [example] = ini_examples("stages/graphql.md")
    section = loads(example, "f", ENVIRON).graphql
    assert section.reads
    rules = section.rules()
    assert (rules.depth, rules.cost, rules.apq, rules.introspection) == (8, 2000, True, frozenset({"developer"}))
    assert rules.fields == (
        FieldRoles("Mutation", "*", ("editor", "admin")),
        FieldRoles("*", "salary", ("hr",)),
    )


def test_the_firewall_is_on_where_it_has_something_to_do() -> None:
    assert not load("").graphql.reads
    assert not load("auth = required\nmultipart = yes\nupgrade = websocket\nmax_body = 1KiB").graphql.reads
    assert load("firewall = yes").graphql.rules() == Rules()
    assert not load("firewall = no\nmax_depth = 3").graphql.reads
    for own in ("max_depth = 3", "batching = yes", "persisted = apq", "introspection = yes", "cost_unit = 5"):
        assert load(own).graphql.reads


def test_batches_have_a_bound() -> None:
    assert load("firewall = yes").graphql.rules().batch == 0
    assert load("batching = yes").graphql.rules().batch == 10
    assert load("batching = yes\nmax_batch = 3").graphql.rules().batch == 3
    assert errors("max_batch = 3") == ["max_batch: is of no use without batching = yes, add that"]


def test_roles_need_somebody_to_ask() -> None:
    for key, value in (("roles", "Query.a: admin"), ("introspection", "admin")):
        [error] = errors(f"{key} = {value}")
        assert error.startswith(f"{key}: names roles, but nobody is asked who they are")
        assert load(f"{key} = {value}\nauth = optional").graphql.reads
    assert load("introspection = yes").graphql.rules().introspection is True


def test_a_token_needs_an_issuer() -> None:
    text = "[service:graph]\nurls = http://127.0.0.1:1\n[graphql]\nservice = graph\nauth = required"
    with pytest.raises(ConfigErrors, match="needs to know who issues tokens"):
        loads(text, "f", {})


@pytest.mark.parametrize(
    "text", ["users: admin", "User.name: admin", "*.*: admin", "Query.a", "Query.a: |", "Query.a-b: c"]
)
def test_what_is_no_field_is_an_error(text: str) -> None:
    [error] = errors(f"auth = optional\nroles = {text}")
    assert error.startswith("roles: ")


def test_what_is_allowed_must_fit_into_the_limits() -> None:
    limits = "[limits]\nip = 60/m burst 10"
    [error] = errors("cost_unit = 100", limits)
    assert error.endswith("write 500 or more")
    assert load("cost_unit = 500", limits)
    assert load("cost_unit = 100\nmax_cost = 1000", limits)


def test_files_of_documents(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"a": "{ a }"}), "utf-8")
    assert load(f"persisted = only:{file}").graphql.rules().only == {"a": "{ a }"}
    operations = [{"id": "x", "name": "A", "type": "query", "body": "{ b }"}]
    file.write_text(
        json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}), "utf-8"
    )
    assert documents(str(file)) == {"x": "{ b }"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"format": "apollo-persisted-query-manifest"}', "\xff"])
def test_files_that_are_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "d.json"
    file.write_bytes(text.encode("latin-1"))
    [error] = errors(f"persisted = only:{file}")
    assert error.startswith(f"persisted: {file} ")


def test_a_word_that_persisted_does_not_know() -> None:
    assert errors("persisted = on") == ["persisted: 'on' is not off, apq or only:FILE"]
    [error] = errors("persisted = only:/nonexistent")
    assert "/nonexistent" in error


def test_the_firewall_reads_websocket_alone() -> None:
    assert load("max_depth = 3\nupgrade = websocket").graphql.upgrade == ("websocket",)
    [error] = errors("max_depth = 3\nupgrade = websocket, chat")
    assert error.startswith("upgrade: can't be read by the firewall")
