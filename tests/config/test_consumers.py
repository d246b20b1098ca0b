"""The sections about API keys, and the files of keys that they name."""

from pathlib import Path

import pytest

from apigw.config.consumers import load_keys, make_key
from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from apigw.policy.api_keys import digest
from tests.examples import ini_examples

ROUTE = "[service:user]\nurls = http://a\n[route:users]\npath = /\nservice = user\nauth = required\n"


def problem(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        loads(text, "f", {})
    return str(caught.value).partition(": ")[2]


def test_a_key_that_is_made_is_found_by_its_line(tmp_path: Path) -> None:
    key, line = make_key("acme")
    assert make_key("acme")[0] != key
    assert key not in line
    file = tmp_path / "keys"
    file.write_text(line)
    assert load_keys(str(file)) == [("acme", digest(key.encode()))]
    with pytest.raises(ValueError, match="is not a name"):
        make_key("a b")


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    section = f"{ROUTE}[api_keys]\nfile = {file}\n"
    assert problem(section) == f"[api_keys] file: {file} can't be read: No such file or directory"
    file.write_bytes(b"\xff")
    assert problem(section) == f"[api_keys] file: {file} is not text"
    file.write_text("hunter2")
    assert problem(section).startswith(f"[api_keys] file: {file}: line 1 is not of the form")
    file.write_text(f"a/b sha256:{digest(b'k').hex()}")
    assert "is not a name" in problem(section)


def test_a_section_without_a_file_lets_nobody_in() -> None:
    assert problem(ROUTE + "[api_keys]\nfield = X-Key\n").endswith("add [jwt] or [api_keys]")


def test_fields_with_a_meaning_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("")
    section = f"{ROUTE}[api_keys]\nfile = {file}\nfield = "
    assert "has a meaning of its own" in problem(section + "Cookie\n")
    assert "is not the name of a field" in problem(section + "X_Key\n")
    config = loads(section + "X-Key\n", "f", {})
    assert config.api_keys is not None and config.api_keys.field == "X-Key"


def test_the_example(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(make_key("acme")[1])
    [example] = ini_examples("stages/api-keys.md")
    config = loads("[service:user]\nurls = http://a\n" + example.replace("/etc/apigw/keys", str(file)), "f", {})
    [acme] = config.consumers
    assert (acme.name, acme.roles, acme.scopes) == ("acme", ("partner",), ("read:users",))
    assert acme.limit and acme.limit.count == 1000
