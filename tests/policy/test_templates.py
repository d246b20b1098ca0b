"""Texts with variables."""

from __future__ import annotations

import pytest

from apigw.policy.templates import TemplateError, carried, parse_template


def test_variables_are_filled_in() -> None:
    template = parse_template("a{{{user}}}-{claim.org.id}{path}")
    assert template.variables == ("user", "claim.org.id", "path")
    bound = template.bind(lambda name: lambda of: f"<{name} {of}>".encode())
    assert bound(1) == b"a{<user 1>}-<claim.org.id 1><path 1>"
    assert parse_template("plain \N{SNOWMAN}").bind(lambda name: bytes)(1) == "plain \N{SNOWMAN}".encode()


@pytest.mark.parametrize("text", ["{", "}", "{user", "user}", "{us{er}", "{}", "{claim.}", "{nobody}", "{ user }"])
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"\n", b"a\x00", b"a\x7f", b"\tb"])
def test_no_control_character_gets_through(value: bytes) -> None:
    assert carried(value) == b""


def test_all_else_does() -> None:
    assert carried(b"a b\xc3\xa4") == b"a b\xc3\xa4"
