import pytest

from apigw.config.limiting import COUNTED, LIMIT, MAINTENANCE, MAINTENANCE_LASTS, parse_maintenance_mode
from apigw.config.loader import load, loads
from apigw.config.problems import ConfigErrors
from apigw.config.units import Rate

ROUTE = "[service:user]\nurls = http://a\n[route:users]\npath = /\nservice = user\n"


def test_without_the_section_and_the_variables_there_is_no_limit():
    config = loads(ROUTE, "f", {})
    assert config.limits is None
    limit = config.routes[0].limit
    assert (limit.ip, limit.user, limit.route, limit.cost) == (None, None, None, 1)


def test_the_section_alone_brings_the_defaults():
    limits = loads("[limits]\n", "f", {}).limits
    assert limits is not None
    assert limits.rate("ip") == Rate(100, 60.0, 100)
    assert limits.rate("user") == Rate(200, 60.0, 200)
    assert limits.rate("auth") == Rate(50, 900.0, 50)


def test_the_founding_variables_bring_them_too():
    limits = load(None, {"RATE_LIMIT_MAX_REQUESTS": "30", "RATE_LIMIT_WINDOW_MS": "1500"}).limits
    assert limits is not None
    assert limits.rate("ip") == Rate(30, 1.5, 30)
    assert limits.rate("auth") == Rate(50, 1.5, 50)
    limits = load(None, {"RATE_LIMIT_AUTH_MAX": "5"}).limits
    assert limits is not None
    assert limits.rate("auth") == Rate(5, 900.0, 5)
    assert limits.rate("ip") == Rate(100, 60.0, 100)


def test_a_rate_has_its_own_time_and_off_is_none():
    limits = loads("[limits]\nip = 10/s burst 3\nuser = off\nauth = 7\nwindow = 1h\n", "f", {}).limits
    assert limits is not None
    assert limits.rate("ip") == Rate(10, 1.0, 3)
    assert limits.rate("user") is None
    assert limits.rate("auth") == Rate(7, 3600.0, 7)


def test_a_route_may_say_that_it_has_none():
    limit = loads(f"{ROUTE}limit.ip = off\nlimit.route = 5/s\n", "f", {}).routes[0].limit
    assert limit.ip is False
    assert limit.route == Rate(5, 1.0, 5)


@pytest.mark.parametrize("text", ["100", "100/m", "50/15m", "10/s burst 20", "off"])
def test_limits_are_shown_as_written(text):
    assert COUNTED.render(COUNTED.parse(text)) == text
    if text != "100":
        assert LIMIT.render(LIMIT.parse(text)) == text


@pytest.mark.parametrize("text", ["0", "0/m", "-1", "100/", "x", "1000000000000", "100 per minute"])
def test_what_is_no_limit(text):
    with pytest.raises(ValueError):
        COUNTED.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("yes", MAINTENANCE_LASTS), ("off", 0.0), ("10m", 600.0)])
def test_maintenance_lasts(text, seconds):
    assert MAINTENANCE.parse(text) == seconds
    assert MAINTENANCE.parse(MAINTENANCE.render(seconds)) == seconds


def test_maintenance_by_the_founding_variable():
    assert [parse_maintenance_mode(text) for text in ("1", "0", "true")] == [MAINTENANCE_LASTS, 0.0, MAINTENANCE_LASTS]
    assert load(None, {"MAINTENANCE_MODE": "true"}).gateway.maintenance == MAINTENANCE_LASTS
    with pytest.raises(ConfigErrors, match="neither yes nor no nor a duration"):
        load(None, {"MAINTENANCE_MODE": "maybe"})


@pytest.mark.parametrize(
    ("limits", "more", "key"),
    [
        ("", "limit.ip = 10/s\nlimit.cost = 11\n", "limit.ip"),
        ("[limits]\n", "limit.cost = 150\n", r"ip of \[limits\]"),
        ("", "limit.route = 1000/s burst 5\nlimit.cost = 6\n", "limit.route"),
    ],
)
def test_a_cost_beyond_a_burst_would_never_pass(limits, more, key):
    with pytest.raises(ConfigErrors, match=rf"limit.cost: .* more than {key} lets through at once"):
        loads(limits + ROUTE + more, "f", {})
