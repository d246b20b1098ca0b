"""Sections about stages from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from apigw.config import ConfigErrors, load, show
from apigw.config.loader import loads
from apigw.extension import Stage


class Tolled(Stage):
    """What the sections here name."""

    def __init__(self, place: str, price: int, factor: float = 1.0, strict: bool = False) -> None:
        self.given = (place, price, factor, strict)


def anything(**given: str) -> Stage:
    """Takes all."""
    return Stage()


NOT_A_STAGE = "neither callable"

HERE = f"use = {__name__}:"


def wrong(text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        loads(f"[stage:toll]\n{text}", "f", {})
    return str(caught.value)


def test_its_keys_are_arguments() -> None:
    text = f"[stage:toll]\n{HERE}Tolled\nplace = bridge\nprice = 7\nfactor = 0.5\nstrict = yes\n"
    [section] = loads(text, "f", {}).stages
    assert section.arguments() == {"place": "bridge", "price": 7, "factor": 0.5, "strict": True}
    [section] = loads(f"[stage:toll]\n{HERE}anything\nrows = one\n  two\n", "f", {}).stages
    assert section.arguments() == {"rows": "one\ntwo"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f:1: [stage:toll] use: is missing"),
        (
            "use = Tolled",
            "f:2: [stage:toll] use: 'Tolled' is not module:name, write for example acme_geo.stages:Country",
        ),
        ("use = no.such.module:X", "no.such.module can't be imported (ModuleNotFoundError: No module named 'no')"),
        (f"{HERE}Toled", f"f:2: [stage:toll] use: {__name__} has no Toled, did you mean Tolled?"),
        (f"{HERE}NOT_A_STAGE", "NOT_A_STAGE is a str, name a class"),
        (f"{HERE}Tolled\nplace = x", f"f:2: [stage:toll] use: {__name__}:Tolled needs price, write"),
        (f"{HERE}Tolled\nplace = x\nprice = 1\nplce = y", "f:5: [stage:toll] plce:"),
        (f"{HERE}Tolled\nplace = x\nprice = much", "f:4: [stage:toll] price: 'much' is not of the type int"),
        (f"{HERE}Tolled\nplace = x\nprice = 1\nstrict = maybe", "f:5: [stage:toll] strict: 'maybe' is neither"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    assert said in wrong(text)


def test_a_route_names_stages_that_there_are() -> None:
    with pytest.raises(ConfigErrors) as caught:
        loads(
            f"[service:a]\nurls = http://127.0.0.1:1\n[stage:toll]\n{HERE}anything\n"
            "[route:a]\npath = /\nservice = a\nstages = toll, tol\n",
            "f",
            {},
        )
    assert "f:8: [route:a] stages: there is no [stage:tol], did you mean toll?" in str(caught.value)


def test_secrets_among_the_arguments_are_not_shown() -> None:
    config = loads(f"[stage:toll]\n{HERE}anything\npin = ${{TOLL_SECRET}}\nplace = a\n", "f", {"TOLL_SECRET": "7391"})
    shown = show(config)
    assert "pin = ***  ; f:3" in shown
    assert "place = a  ; f:4" in shown
    assert "7391" not in shown


def test_what_was_shown_can_be_read(tmp_path: Path) -> None:
    config = loads(f"[stage:toll]\n{HERE}anything\nplace = a\n", "f", {})
    (tmp_path / "gw.ini").write_text(show(config))
    assert load(str(tmp_path / "gw.ini"), {}).stages == config.stages
