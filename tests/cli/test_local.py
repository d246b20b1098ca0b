"""Commands that ask no gateway."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest

from apigw.cli.main import main

SECRET = "x" * 40


def test_a_token_for_operators_is_new_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["token"]), main(["token", "--json"])) == (0, 0)
    first, second = capsys.readouterr().out.splitlines()
    assert len(first) == 48
    assert json.loads(second)["token"] != first


def test_a_token_of_a_user_has_what_the_section_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    ini = tmp_path / "gw.ini"
    ini.write_text(
        "[service:a]\nurls = http://a\n"
        "[jwt]\nsecret_env = THE_SECRET\nissuer = https://id.test\naudience = shop, other\nalgorithms = HS256\n"
    )
    arguments = ["token", "7", "--roles", "admin, reader", "--scopes", "a,b", "--for", "2m", "--config", str(ini)]
    assert main(arguments) == 0
    made = capsys.readouterr().out.strip()
    claims = jwt.decode(made, SECRET, ["HS256"], audience="shop", issuer="https://id.test")
    assert (claims["sub"], claims["roles"], claims["scope"]) == ("7", ["admin", "reader"], "a b")
    assert claims["exp"] - claims["iat"] == 120


def test_without_a_secret_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ini = tmp_path / "gw.ini"
    ini.write_text("[service:a]\nurls = http://a\n")
    assert main(["token", "7", "--config", str(ini)]) == 1
    assert capsys.readouterr().err == "There is no secret in [jwt]: only its issuer can make a token.\n"
    assert main(["token", "7", "--config", str(ini), "--for", "soon"]) == 1
    assert "soon" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["explain", "a", "b", "c"], "explain takes a method and a URL, or a URL"),
        (["explain", "http://a", "-H", "nothing"], "-H 'nothing' is not like 'Name: value'"),
        (["plan", "/nowhere.ini"], "/nowhere.ini: [Errno 2] No such file or directory: '/nowhere.ini'"),
    ],
)
def test_what_is_wrong_is_told_before_anybody_is_asked(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"{told}\n"
