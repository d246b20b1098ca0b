# ruff: noqa: RUF009 (option, group and section are attrs fields)
import pytest
from attrs import frozen

from apigw.config.option import Variable, build, group, option, options, section, section_kinds, sections
from apigw.config.units import DURATION, SWITCH, integer


@frozen(kw_only=True)
class Timeouts:
    connect: float = option(DURATION, default=2.0, help="To connect.")


@frozen(kw_only=True)
class Service:
    name: str
    weight: int = option(integer(0, 9), help="Its share.", example="1", variable=Variable("{NAME}_WEIGHT", int))
    second: float | None = option(DURATION, default=None, help="More.", key="2.time", unset="none", example="3s")
    timeout: Timeouts = group(Timeouts)


@frozen(kw_only=True)
class Demo:
    enabled: bool = option(SWITCH, default=False, help="On.")


@frozen(kw_only=True)
class Config:
    services: tuple[Service, ...] = sections("service", Service, "user")
    demo: Demo = section("demo", Demo)
    more: int = 0


def test_options_have_keys_and_paths():
    found = options(Service)
    assert {key: option.path for key, option in found.items()} == {
        "weight": ("weight",),
        "2.time": ("second",),
        "timeout.connect": ("timeout", "connect"),
    }
    assert all(option.key == key for key, option in found.items())
    assert [option.required for option in found.values()] == [True, False, False]


def test_a_sample_is_the_example_or_the_default():
    assert [option.sample for option in options(Service).values()] == ["1", "3s", "2s"]


def test_kinds_of_sections():
    kinds = section_kinds(Config)
    assert [(kind.heading, kind.attribute, kind.named) for kind in kinds.values()] == [
        ("[service:NAME]", "services", True),
        ("[demo]", "demo", False),
    ]
    assert list(kinds["demo"].options) == ["enabled"]


def test_sections_are_built_of_values_by_path():
    service = build(Service, {("weight",): 3, ("timeout", "connect"): 5.0}, name="user")
    assert service == Service(name="user", weight=3, timeout=Timeouts(connect=5.0))
    assert [option.of(service) for option in options(Service).values()] == [3, None, 5.0]


def test_what_is_required_must_be_there():
    with pytest.raises(TypeError):
        build(Service, {}, name="user")


def test_variables_may_be_each_sections_own():
    variable = options(Service)["weight"].variable
    assert variable is not None
    assert variable.each
    assert variable.spelled_for("music-lib") == "MUSIC_LIB_WEIGHT"
    assert not Variable("PORT", int).each
