"""How GraphQL clients are told of errors."""

from __future__ import annotations

import json

import pytest

from apigw.policy.graphql.answers import JSON, RESPONSE, errors, media_type


@pytest.mark.parametrize(
    ("accepts", "expected"),
    [
        ([], JSON),
        ([b"*/*"], JSON),
        ([b"application/*"], JSON),
        ([b"text/html"], JSON),
        ([b"application/json"], JSON),
        ([b"application/graphql-response+json"], RESPONSE),
        ([b"Application/GraphQL-Response+JSON; charset=utf-8, application/json"], RESPONSE),
        ([b"application/json, application/graphql-response+json"], JSON),
        ([b"application/json;q=0.9", b"application/graphql-response+json"], RESPONSE),
        ([b"application/graphql-response+json;q=0, application/json"], JSON),
        ([b"application/graphql-response+json;q=x, */*;q=0.1"], JSON),
        ([b"application/problem+json"], None),
        ([b"application/vnd.apigw.envelope+json"], None),
        ([b"application/problem+json;q=0, application/json"], JSON),
    ],
)
def test_media_types(accepts: list[bytes], expected: bytes | None) -> None:
    assert media_type(accepts) == expected


def test_errors_have_no_data() -> None:
    assert json.loads(errors('ü"', {"code": "x"})) == {"errors": [{"message": 'ü"', "extensions": {"code": "x"}}]}
