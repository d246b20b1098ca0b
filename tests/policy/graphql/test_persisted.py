"""Files of documents."""

from __future__ import annotations

import pytest

from apigw.policy.graphql.persisted import listed


def test_both_forms() -> None:
    assert listed('{"a": "{a}", "b": "{b}"}') == {"a": "{a}", "b": "{b}"}
    manifest = '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "x", "body": "{a}"}]}'
    assert listed(manifest) == {"x": "{a}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "neither an object"),
        ('{"a": {}}', "neither an object"),
        ("{}", "has no document"),
        ('{"format": "apollo-persisted-query-manifest", "operations": [{"id": "x"}]}', "without id and body"),
        ('{"format": "apollo-persisted-query-manifest", "operations": 1}', "without id and body"),
        ('{"format": "apollo-persisted-query-manifest", "operations": []}', "has no document"),
    ],
)
def test_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listed(text)
