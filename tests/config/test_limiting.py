import pytest

from apigw.config.limiting import COUNTED, LIMIT, MAINTENANCE, MAINTENANCE_LASTS, parse_maintenance_mode
from apigw.config.loader import load, loads
from apigw.config.problems import ConfigErrors
from apigw.config.units import Rate
from tests.examples import ini_examples

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


def test_counting_in_redis_needs_its_url_and_tells_no_password():
    limits = loads("[limits]\nstore = redis\nredis_url_env = R\n", "f", {"R": "rediss://:hunter2@h/2"}).limits
    assert limits is not None
    assert str(limits.redis) == "rediss://h:6379"
    assert limits.redis.database == 2
    assert "hunter2" not in repr(limits)
    for text, environ, message in [
        ("store = redis", {}, "redis needs to know the server"),
        ("redis_url_env = R", {"R": "redis://h"}, "is of no use with store = local"),
        ("store = redis\nredis_url_env = R", {"R": "http://:hunter2@h"}, "begins with none of redis://"),
    ]:
        with pytest.raises(ConfigErrors) as caught:
            loads(f"[limits]\n{text}\n", "f", environ)
        assert message in str(caught.value)
        assert "hunter2" not in str(caught.value)
    local = loads("[limits]\n", "f", {}).limits
    assert local is not None
    assert local.redis is None


def test_the_founding_variable_is_used_where_it_is_named():
    environ = {"REDIS_URL": "redis://h"}
    assert loads("[limits]\nstore = redis\nredis_url_env = REDIS_URL\n", "f", environ).unused == ()
    assert loads("[limits]\n", "f", environ).unused == ("REDIS_URL",)


def test_combinations_of_things():
    by = loads(f"{ROUTE}limit.by = header:X-Tenant 5/m, IP+user 10/s burst 2\n", "f", {}).routes[0].limit.by
    assert [(combined.parts, combined.rate) for combined in by] == [
        (("header:x-tenant",), Rate(5, 60.0, 5)),
        (("ip", "user"), Rate(10, 1.0, 2)),
    ]


@pytest.mark.parametrize(
    "text", ["5/m", "ip", "ip off", "ip+ip 5/m", "cookie:a 5/m", "header: 5/m", "ip 5/m, ip 6/m", "ip+ 5/m"]
)
def test_what_is_no_combination(text):
    with pytest.raises(ConfigErrors):
        loads(f"{ROUTE}limit.by = {text}\n", "f", {})


def test_no_request_costs_more_than_any_of_its_limits_lets_through():
    for line in ("limit.consumer = 2/m", "limit.by = ip 2/m"):
        with pytest.raises(ConfigErrors, match=r"3 is more than limit\.(consumer|by of ip) lets through at once"):
            loads(f"{ROUTE}{line}\nlimit.cost = 3\n", "f", {})


@pytest.mark.parametrize(("text", "seconds"), [("on", 86400.0), ("off", 0.0), ("2h", 7200.0)])
def test_how_long_answers_to_idempotency_keys_are_kept(text, seconds):
    [route] = loads(f"{ROUTE}idempotency = {text}\n", "f", {}).routes
    assert route.idempotency == seconds


def test_what_is_no_time_for_answers():
    with pytest.raises(ConfigErrors, match="neither on nor off nor a duration"):
        loads(f"{ROUTE}idempotency = always\n", "f", {})


def test_the_example_of_maintenance_can_be_loaded():
    [example] = ini_examples("stages/security.md")
    config = loads(example, "gw.ini", {})
    assert [route.maintenance for route in config.routes] == [0.0, MAINTENANCE_LASTS]
    assert config.services[0].maintenance == 1200.0
    assert list(map(str, config.gateway.maintenance_allow)) == ["10.0.0.0/8"]
    assert list(map(str, config.routes[1].maintenance_allow)) == ["192.0.2.7/32"]
