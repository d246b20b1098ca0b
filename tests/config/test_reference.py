"""What is generated from the model is current, and true."""

import re
from pathlib import Path
from shutil import copytree

import pytest

from apigw.config import reference
from apigw.config.draft import KINDS
from apigw.config.loader import load, loads
from apigw.config.option import build

ROOT = Path(__file__).parents[2]
FILE = ROOT / reference.INI
PAGE = ROOT / reference.PAGE

OPTIONS = [option for kind in KINDS.values() for option in kind.options.values()]
NEEDS_A_FILE = {
    "tls.ca",
    "tls.client_cert",
    "token_file",
    "certificates",
    "client_ca",
    "jwks_file",
    "public_key_file",
    "secret_file",
    "file",
    "authorization_file",
    "fallback.file",
    "sticky.secret_file",
    "redis_url_file",
    "redis_ca",
}


def test_the_reference_file_is_current():
    assert FILE.read_text() == reference.reference(), "run python -m apigw.config.reference"


def test_the_page_is_current():
    assert PAGE.read_text() == reference.page(PAGE.read_text()), "run python -m apigw.config.reference"


def test_both_are_written_by_one_command(tmp_path):
    for part in ("etc", "docs"):
        copytree(ROOT / part, tmp_path / part)
    (tmp_path / reference.INI).write_text("old")
    before, _, rest = PAGE.read_text().partition(reference.BEGIN)
    (tmp_path / reference.PAGE).write_text(before + reference.BEGIN + reference.END + rest.partition(reference.END)[2])
    reference.main(tmp_path)
    assert (tmp_path / reference.INI).read_text() == FILE.read_text()
    assert (tmp_path / reference.PAGE).read_text() == PAGE.read_text()


def test_a_page_without_its_marks_is_left_alone():
    with pytest.raises(ValueError, match=r"docs/configuration\.md has no <!-- generated"):
        reference.page("# Configuration\n")


def test_the_reference_file_has_each_option_once():
    text = FILE.read_text()
    for kind in KINDS.values():
        header = f"[{kind.kind}:{kind.example}]" if kind.named else f"[{kind.kind}]"
        section = text.partition(f"\n{header}\n")[2].partition("\n[")[0]
        keys = re.findall(r"^(?:; )?([a-z0-9_.*]+) = ", section, re.MULTILINE)
        assert keys == list(kind.options)


def test_the_reference_file_says_the_defaults():
    config = load(str(FILE), {})
    for kind in KINDS.values():
        held = getattr(config, kind.attribute)
        section = held[0] if kind.named else held
        required = {o.path: o.of(section) for o in kind.options.values() if o.required or o.usual}
        more = {"name": kind.example} if kind.named else {}
        assert section == build(kind.cls, required, **more)


def test_the_examples_are_right():
    text = re.sub(r"^; ([a-z0-9_.]+ = )", r"\1", FILE.read_text(), flags=re.MULTILINE)
    for key in (
        *NEEDS_A_FILE,
        "token_env",
        "secret_env",
        "sticky.secret_env",
        "redis_url_env",
        "sticky.cookie",
        "authorization_env",
        "rewrite",
        "request.target",
        "sign",
        "roles",
        "scopes",
        "stale_while_revalidate",
        "stale_if_error",
        "split",
        "split.on",
        "mirror",
        "max_batch",
        "aggregate",
    ):
        text = re.sub(rf"^{re.escape(key)} = .*\n", "", text, flags=re.MULTILINE)
    config = loads(text, "examples", {})
    assert config.routes[0].strip_prefix == "/api/v1"
    assert config.routes[0].methods == ("GET", "POST")
    assert loads(text.replace("strip_prefix =", "rewrite ="), "examples", {}).routes[0].rewrite == "/api/v1"


def test_each_option_is_documented():
    for option in OPTIONS:
        assert option.help.endswith("."), option.key
        assert option.kind.form, option.key
        assert bool(option.unset) == (option.default in (None, ())), option.key
        if option.required or option.unset:
            assert option.example, option.key
        else:
            assert option.kind.parse(option.kind.render(option.default)) == option.default
        if option.example and option.key not in NEEDS_A_FILE:
            option.kind.parse(option.example)
