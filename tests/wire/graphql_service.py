"""A small GraphQL service."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from graphql import build_schema, graphql_sync

from tests.wire.scripted import Question, Reply

SCHEMA = build_schema(
    """
    type User { id: ID! name: String salary: Int friends(first: Int, page: Page): [User!]! }
    input Page { limit: Int }
    type Query { me: User users(first: Int, page: Page): [User!]! hello(name: String): String }
    type Mutation { rename(name: String!): User forget: Boolean }
    """
)


def _user(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"u{number}",
        "salary": 1000 + number,
        "friends": lambda _, first=2, page=None: [_user(i) for i in range(first)],
    }


ROOT = {
    "me": lambda _: _user(7),
    "users": lambda _, first=2, page=None: [_user(i) for i in range(first)],
    "hello": lambda _, name="you": f"hello {name}",
    "rename": lambda _, name: {**_user(7), "name": name},
    "forget": lambda _: True,
}


def say(asked: Question) -> Reply:
    """Executes what it is asked, and batches of it."""
    if asked.method == "POST":
        given = json.loads(asked.body)
    else:
        given = dict(parse_qsl(urlsplit(asked.target).query))
        given["variables"] = json.loads(given.get("variables") or "null")
    answer = [_execute(one) for one in given] if isinstance(given, list) else _execute(given)
    return Reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def _execute(given: dict[str, Any]) -> Any:
    return graphql_sync(
        SCHEMA,
        given.get("query", ""),
        ROOT,
        variable_values=given.get("variables"),
        operation_name=given.get("operationName"),
    ).formatted
