"""Options of the cache."""

from __future__ import annotations

import pytest

from apigw.config.caching import CACHE, OFF
from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from tests.examples import ini_examples

HEAD = "[service:a]\nurls = http://a\n[route:one]\npath = /\nservice = a\n"


@pytest.mark.parametrize(("text", "value"), [("on", 0.0), ("off", OFF), ("60s", 60.0), ("1h", 3600.0)])
def test_a_cache_is_on_off_or_for_a_time(text: str, value: float) -> None:
    assert CACHE.parse(text) == value
    assert CACHE.parse(CACHE.render(value)) == value


@pytest.mark.parametrize("text", ["60", "perhaps", ""])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="neither on nor off nor a duration"):
        CACHE.parse(text)


@pytest.mark.parametrize("key", ["stale_while_revalidate", "stale_if_error"])
def test_what_is_of_no_use_is_said(key: str) -> None:
    with pytest.raises(ConfigErrors, match=f"{key}: is of no use without cache"):
        loads(f"{HEAD}{key} = 5s\n", "gw.ini", {})


def test_one_body_is_not_more_than_all() -> None:
    with pytest.raises(ConfigErrors, match="max_body: is more than size"):
        loads(f"{HEAD}[cache]\nsize = 1MiB\nmax_body = 2MiB\n", "gw.ini", {})


def test_the_example_can_be_loaded() -> None:
    example, shared = ini_examples("stages/cache.md")
    assert loads(shared, "gw.ini", {"REDIS_URL": "redis://127.0.0.1"}).cache.store == "redis"
    config = loads(example, "gw.ini", {})
    assert config.cache.size == 256 * 1024**2
    assert config.routes[0].cache == 60.0
    assert config.routes[0].stale_while_revalidate == 120.0
