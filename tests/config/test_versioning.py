"""Options of versions."""

from __future__ import annotations

import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from apigw.config.versioning import BROWNOUTS, SOURCES, parse_moment
from apigw.policy.versions import Brownout, Source
from tests.examples import ini_examples

HEAD = "[service:a]\nurls = http://a\n[route:one]\npath = /\nservice = a\n"


def test_the_examples_can_be_loaded() -> None:
    example, contract = ini_examples("stages/versions.md")
    config = loads(example, "gw.ini", {})
    assert config.known_versions == ("1", "2")
    [old] = config.versions
    assert (old.name, old.deprecated, old.sunset) == ("1", 1767225600.0, 1798675200.0)
    assert [one.end - one.begin for one in old.brownouts] == [3600.0, 14400.0]
    assert config.versioning is not None
    assert config.versioning.sources == (Source("path"), Source("header", "Accept-Version"), Source("media-type"))
    other = loads(HEAD + contract, "gw.ini", {}).versioning
    assert other is not None
    assert other.contract.versions == ("1.4", "1.5")


def test_without_the_section_there_are_none() -> None:
    assert loads(HEAD, "gw.ini", {}).known_versions == ()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-31", 1798675200.0),
        ("2026-12-31T18:00Z", 1798740000.0),
        ("2026-12-31T18:00:00+01:00", 1798736400.0),
    ],
)
def test_moments(text: str, moment: float) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "2026-12-31T18:00", ""])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a date|has no time zone"):
        parse_moment(text)


def test_lists_come_back_as_they_were_written() -> None:
    brown = (Brownout(1793613600.0, 1793617200.0),)
    assert BROWNOUTS.parse(BROWNOUTS.render(brown)) == brown
    sources = (Source("path"), Source("header", "X-V"), Source("media-type"))
    assert SOURCES.parse(SOURCES.render(sources)) == sources


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[versioning]\nsources = query\n", "is not path, header:NAME or media-type"),
        ("[versioning]\nsources = header:a b\n", "is not path, header:NAME or media-type"),
        ("[versioning]\n1.sunset = soon\n", "'soon' is not a date"),
        ("[versioning]\n1.sunset = 2026-01-01\n1.deprecated = 2026-02-01\n", "is before deprecated"),
        ("[versioning]\n1.link = https://a.test\n", "is of no use without deprecated or sunset"),
        ("[versioning]\n1.sunset = 2026-01-01\n1.link = javascript:x\n", "is not a URL"),
        ("[versioning]\n1.sunset = 2026-01-01\n[version:1]\nsunset = 2026-01-01\n", "is in .version:1. too"),
        ("[versioning]\na/b.sunset = 2026-01-01\n", "is not a name"),
        ("[versioning]\ncontract.field = X-C\n", "contract.versions: is missing"),
        ("[versioning]\ncontract.versions = 1\n", "contract.field: is missing"),
        ("[version:1]\nsunset = 2026-01-01\n", "is of no use without .versioning."),
        ("version = 1\n", "needs to know where versions stand"),
        ("[versioning]\n[route:two]\npath = /\nservice = a\n", "matches the same requests"),
        ("version = 1\n[versioning]\n[route:two]\npath = /\nservice = a\nversion = v1\n", "matches the same requests"),
        ("[route:two]\npath = /\nservice = a\nversion = none\n[versioning]\n", "matches the same requests"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(ConfigErrors, match=problem):
        loads(HEAD + text, "gw.ini", {})


def test_routes_that_differ_in_the_version_stand_side_by_side() -> None:
    text = "version = 1\n[versioning]\ndefault = 10\n[route:two]\npath = /\nservice = a\n[version:v3]\n"
    with pytest.raises(ConfigErrors, match="'v3' is not a version"):
        loads(HEAD + text, "gw.ini", {})
    config = loads(HEAD + text.replace("v3", "3"), "gw.ini", {})
    assert config.known_versions == ("1", "3", "10")
