import sys
from ipaddress import ip_network
from pathlib import Path
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.addresses import PeerAddress
from apigw.config.loader import load, loads
from apigw.config.model import GatewayConfig
from apigw.config.problems import ConfigErrors, Origin

ROOT = Path(__file__).parents[2]

USER = "[service:user]\nurls = http://a\n"
ROUTE = "[route:users]\npath = /users\nservice = user\n"


def problems(text, environ=None):
    """What is wrong, by line."""
    with pytest.raises(ConfigErrors) as caught:
        loads(text, "f", environ or {})
    return str(caught.value).split("\n")


# -- files -----------------------------------------------------------------------------------------------------------


def wrong(path):
    with pytest.raises(ConfigErrors) as caught:
        load(str(path), {})
    return str(caught.value)


def test_the_default_file_runs_as_it_is():
    config = load(str(ROOT / "etc/gw.ini"), {})
    assert [str(listener.endpoint) for listener in config.listeners] == ["tcp:8080"]
    assert config.demo.enabled
    assert [(s.name, [peer.url for peer in s.urls]) for s in config.services] == [
        ("user", ["demo:user"]),
        ("ai", ["demo:ai"]),
        ("music", ["demo:music"]),
    ]
    assert [(str(r.path), r.service, r.strip_prefix) for r in config.routes] == [
        ("/api/v1/users", "user", "/api/v1"),
        ("/api/v1/ai", "ai", "/api/v1"),
        ("/api/v1/music", "music", "/api/v1"),
    ]


def test_without_a_file_there_are_defaults():
    config = load(None, {})
    assert [(listener.name, str(listener.endpoint)) for listener in config.listeners] == [("default", "tcp:8080")]
    assert (config.services, config.routes, config.demo.enabled) == ((), (), False)
    assert config.gateway.max_body == 1024**2


def test_a_file_that_is_not_there(tmp_path):
    assert wrong(tmp_path / "gw.ini") == f"{tmp_path}/gw.ini: can't be read: No such file or directory"
    assert wrong(tmp_path) == f"{tmp_path}: is a directory, name a file"
    assert wrong("\0") == "\0: is not a path"


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "gw.ini"
    path.write_bytes(b"[gateway]\n; caf\xe9\n")
    assert wrong(path) == f"{path}:2: holds the byte 0xe9, which is not UTF-8, save the file as UTF-8"
    path.write_bytes("[gateway]\n".encode("utf-16"))
    assert wrong(path) == f"{path}: is UTF-16, save it as UTF-8"


def test_a_byte_order_mark_and_crlf_do_not_matter(tmp_path):
    path = tmp_path / "gw.ini"
    path.write_bytes(b"\xef\xbb\xbf[gateway]\r\nmax_body = 5\r\n")
    assert load(str(path), {}).gateway.max_body == 5


def test_it_is_read_without_twisted():
    # A check of a file is over at once, and nothing may install a reactor before twistd does.
    code = "import sys, apigw.config.loader; assert not any(name.startswith('twisted') for name in sys.modules)"
    done = run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# -- values ----------------------------------------------------------------------------------------------------------


def test_values():
    config = loads(
        """
        [gateway]
        trusted_proxies = 10.0.0.0/8, ::1
        drain_timeout = 1m
        error_format = envelope
        access_log = off
        response_time_header = no
        [listener:public]
        endpoint = tcp:80
        [listener:local]
        endpoint = tcp:81:interface=127.0.0.1
        [service:user]
        urls =
            http://a:1 weight=2  ; the larger one
            http://b:2
        preserve_host = no
        max_queue = 0
        timeout.connect = 250ms
        tls.server_name = user.internal
        [route:users]
        path = /api/v1/users
        host = *.example.com
        methods = GET, POST
        headers = X-Canary: yes
        service = user
        strip_prefix = /api/v1
        timeout.total = 5s
        max_body = 0
        """,
        "f",
        {},
    )
    gateway, service, route = config.gateway, config.service("user"), config.routes[0]
    assert gateway.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert (gateway.drain_timeout, gateway.error_format, gateway.access_log) == (60.0, "envelope", "off")
    assert (gateway.response_time_header, gateway.target_service_header) == (False, True)
    assert [(listener.name, listener.endpoint.port) for listener in config.listeners] == [("public", 80), ("local", 81)]
    assert service.urls == (
        PeerAddress(scheme="http", host="a", port=1, weight=2),
        PeerAddress(scheme="http", host="b", port=2),
    )
    assert (service.preserve_host, service.max_connections, service.max_queue) == (False, 100, 0)
    assert (service.timeout.connect, service.timeout.total) == (0.25, 30.0)
    assert (service.tls.ca, service.tls.server_name) == (None, "user.internal")
    assert (str(route.path), route.host, route.methods) == ("/api/v1/users", ("*.example.com",), ("GET", "POST"))
    assert [(field.name, field.value) for field in route.headers] == [("x-canary", "yes")]
    assert (route.strip_prefix, route.rewrite, route.timeout.total, route.max_body) == ("/api/v1", None, 5.0, 0)
    with pytest.raises(KeyError):
        config.service("elephant")


def test_values_remember_where_they_come_from():
    config = loads(USER, "gw.ini", {"PORT": "99", "APIGW__GATEWAY__MAX_BODY": "7"})
    assert config.origins["service:user", "urls"] == Origin("gw.ini", 2)
    assert config.origins["listener:default", "endpoint"] == Origin(variable="PORT")
    assert config.origins["gateway", "max_body"] == Origin(variable="APIGW__GATEWAY__MAX_BODY")
    assert ("gateway", "workers") not in config.origins


def test_where_values_come_from_makes_no_difference():
    assert loads(USER, "a", {}) == loads("\n" + USER, "b", {})
    assert loads(USER, "a", {}) != loads(USER.replace("//a", "//b"), "a", {})


def test_all_errors_are_told_at_once_with_their_lines():
    text = """[gateway]
max_body = 4KB
timout = 3s
[service:user]
urls = http://a,
  http://b:99999
[route:users]
path = users
service = usr
[rout:x]
"""
    assert problems(text, {"PORT": "http"}) == [
        "f:2: [gateway] max_body: '4KB' may be multiples of 1000 or of 1024, write 4KiB or 4000",
        "f:3: [gateway] timout: unknown key, did you mean drain_timeout?",
        "f:6: [service:user] urls: 'http://b:99999': a port is a whole number from 1 to 65535",
        "f:8: [route:users] path: 'users' doesn't begin with a slash, write /users",
        "f:10: [rout:x]: unknown section, did you mean [route:x]?",
        "$PORT: [listener:default] endpoint: 'http' is not a port, write a whole number from 0 to 65535",
    ]


def test_what_is_required_is_asked_for():
    assert problems("[route:users]\n[service:user]\n") == [
        "f:1: [route:users] path: is missing, write for example path = /api/v1/users",
        "f:2: [service:user] urls: is missing, write for example urls = http://10.0.0.1:9001 weight=2,"
        " http://10.0.0.2:9001",
    ]
    assert problems("[route:users]\npath = /users\n") == [
        "f:1: [route:users] service: is missing, write for example service = user",
    ]


def test_an_empty_value_is_asked_for():
    assert problems("[gateway]\nmax_body =\n[service:user]\nurls = ;\n") == [
        "f:2: [gateway] max_body: is empty, write for example max_body = 1MiB",
        "f:4: [service:user] urls: is empty, write for example urls = http://10.0.0.1:9001 weight=2,"
        " http://10.0.0.2:9001",
    ]


def test_a_list_may_be_empty_where_none_is_a_meaning():
    assert loads("[gateway]\ntrusted_proxies =\n", "f", {}).gateway.trusted_proxies == ()


def test_an_indented_key_is_told():
    assert problems("[gateway]\nmax_body = 5\n  workers = 1\n") == [
        "f:3: [gateway] max_body: goes on with 'workers = 1', write one line; a key begins without indentation"
    ]


def test_a_value_may_begin_in_the_next_line():
    assert loads("[gateway]\nmax_body =\n  5\n", "f", {}).gateway.max_body == 5


def test_a_duplicate_section_is_an_error_though_each_is_right():
    assert problems(USER + "[service:user]\nmax_queue = 1\n") == [
        "f:3: [service:user]: is here twice, first in line 1; make one section of the two"
    ]


# -- ${NAME} ---------------------------------------------------------------------------------------------------------


def test_values_take_in_the_environment():
    text = "[service:user]\nurls = http://${HOST}:${PORT_OF_USER:-9001}\n"
    assert loads(text, "f", {"HOST": "a"}).services[0].urls[0].label == "a:9001"
    assert loads(text, "f", {"HOST": "a", "PORT_OF_USER": "7"}).services[0].urls[0].label == "a:7"


def test_a_variable_may_hold_a_list():
    text = "[service:user]\nurls = ${URLS}\n"
    assert [p.label for p in loads(text, "f", {"URLS": "http://a\nhttp://b,http://c"}).services[0].urls] == [
        "a:80",
        "b:80",
        "c:80",
    ]


def test_an_unset_variable_is_named_with_its_line():
    assert problems("[service:user]\nurls = http://a,\n  ${NONE}, ${\n") == [
        "f:3: [service:user] urls: the environment variable NONE is not set, set it or write ${NONE:-default}"
    ]


def test_what_a_variable_holds_is_checked():
    assert problems("[gateway]\nmax_body = ${SIZE}\n", {"SIZE": "4\x00"}) == [
        "f:2: [gateway] max_body: holds the control character '\\x00', remove it"
    ]


def test_secrets_are_not_repeated_in_errors():
    text = "[gateway]\nerror_format = ${API_TOKEN}\nmax_body = ${OTHER}\n"
    [first, second] = problems(text, {"API_TOKEN": "hunter2'", "OTHER": "plain"})
    assert "hunter2" not in first
    assert first.startswith("f:2: [gateway] error_format: ")
    assert "'plain' is not a size" in second


# -- the environment ---------------------------------------------------------------------------------------------------


def test_variables_override_the_file():
    environ = {
        "APIGW__SERVICE_USER__URLS": "http://c:3 , http://d:4",
        "APIGW__ROUTE_USERS__TIMEOUT_TOTAL": "7s",
        "apigw__gateway__workers": "1",
        "APIGW__LISTENER_DEFAULT__ENDPOINT": "tcp:1234",
        "PORT": "4321",
    }
    config = loads(USER + ROUTE, "f", environ)
    assert [peer.label for peer in config.services[0].urls] == ["c:3", "d:4"]
    assert config.routes[0].timeout.total == 7.0
    assert config.listeners[0].endpoint.port == 1234


def test_a_variable_is_taken_as_it_is():
    [error] = problems("", {"APIGW__GATEWAY__ACCESS_LOG": "/none/${HOME}"})
    assert error.startswith("$APIGW__GATEWAY__ACCESS_LOG: [gateway] access_log: /none is not a directory")


def test_a_variable_replaces_what_is_wrong_in_the_file():
    text = "[gateway]\nmax_body = lots\nworkers = ${NONE:-1}\n"
    assert loads(text, "f", {"APIGW__GATEWAY__MAX_BODY": "5"}).gateway.max_body == 5


def test_a_wrong_variable_is_named():
    assert problems(USER + ROUTE, {"APIGW__ROUTE_USERS__METHODS": "get", "APIGW__ROUTE_USERS__STAGE": "yes"}) == [
        "$APIGW__ROUTE_USERS__METHODS: [route:users] methods: 'get' is not in capitals, write GET",
        "$APIGW__ROUTE_USERS__STAGE: [route:users] stage: unknown key, did you mean stages?",
    ]


def test_the_environment_alone_makes_services_and_routes():
    environ = {"USER_SERVICE_URL": "http://a:1,http://b:1", "MUSIC_LIB_SERVICE_URL": "http://c:1", "PORT": "3000"}
    config = load(None, environ)
    assert [(s.name, [peer.label for peer in s.urls]) for s in config.services] == [
        ("music-lib", ["c:1"]),
        ("user", ["a:1", "b:1"]),
    ]
    assert [(r.name, str(r.path), r.service, r.rewrite) for r in config.routes] == [
        ("music-lib", "/api/v1/music-lib", "music-lib", "/api/music-lib"),
        ("user", "/api/v1/user", "user", "/api/user"),
    ]
    assert config.listeners[0].endpoint.port == 3000
    assert config.origins["service:user", "urls"] == Origin(variable="USER_SERVICE_URL")
    assert config.origins["route:user", "path"] == Origin(variable="USER_SERVICE_URL")


def test_services_of_the_environment_can_be_overridden():
    environ = {
        "USER_SERVICE_URL": "http://a",
        "APIGW__SERVICE_USER__MAX_QUEUE": "3",
        "APIGW__ROUTE_USER__MAX_BODY": "4",
    }
    config = load(None, environ)
    assert (config.services[0].max_queue, config.routes[0].max_body) == (3, 4)


def test_a_route_of_the_file_is_the_only_one():
    config = loads("[route:mine]\npath = /u\nservice = user\n", "f", {"USER_SERVICE_URL": "http://a"})
    assert [(r.name, r.service) for r in config.routes] == [("mine", "user")]
    assert [s.name for s in config.services] == ["user"]


def test_a_service_with_a_place_of_its_own_gets_no_route():
    config = loads("[graphql]\nservice = graph\n", "f", {"GRAPH_SERVICE_URL": "http://a"})
    assert [s.name for s in config.services] == ["graph"]
    assert config.routes == ()


def test_a_route_may_come_to_name_the_service_by_a_variable():
    text = "[service:other]\nurls = http://o\n[route:mine]\npath = /u\nservice = other\n"
    environ = {"USER_SERVICE_URL": "http://a", "APIGW__ROUTE_MINE__SERVICE": "user"}
    assert [(r.name, r.service) for r in loads(text, "f", environ).routes] == [("mine", "user")]


def test_a_route_of_that_name_to_elsewhere_stays():
    text = "[service:other]\nurls = http://o\n[route:user]\npath = /u\nservice = other\n"
    config = loads(text, "f", {"USER_SERVICE_URL": "http://a"})
    assert [(r.name, r.service) for r in config.routes] == [("user", "other"), ("user-service", "user")]


def test_the_addresses_of_the_file_are_in_force():
    config = loads("[service:user]\nurls = http://file\n", "f", {"USER_SERVICE_URL": "http://variable"})
    assert [peer.host for peer in config.services[0].urls] == ["file"]
    assert config.routes == ()


def test_a_service_of_the_file_may_take_its_addresses_from_the_environment():
    config = loads("[service:music_lib]\nmax_queue = 5\n", "f", {"MUSIC_LIB_SERVICE_URL": "http://a"})
    assert [(s.name, s.urls[0].host, s.max_queue) for s in config.services] == [("music_lib", "a", 5)]
    assert [(r.name, str(r.path)) for r in config.routes] == [("music_lib", "/api/v1/music_lib")]


def test_a_service_may_be_left_out():
    environ = {"USER_SERVICE_URL": "http://a", "USER_SERVICE_ENABLED": "false"}
    assert load(None, environ).services == ()
    assert load(None, environ | {"USER_SERVICE_ENABLED": "true"}).services != ()
    assert problems("", environ | {"USER_SERVICE_ENABLED": "maybe"}) == [
        "$USER_SERVICE_ENABLED: [service:user]: 'maybe' is neither true nor false, write one of them"
    ]


def test_the_environment_may_be_left_out():
    environ = {"USER_SERVICE_URL": "http://a"}
    config = loads("[discovery]\nenvironment = off\n", "f", environ)
    assert (config.services, config.routes) == ((), ())
    assert load(None, environ | {"APIGW__DISCOVERY__ENVIRONMENT": "no"}).services == ()
    assert problems("[discovery]\nenvironment = off\n[service:user]\n", environ)[0].startswith(
        "f:3: [service:user] urls: is missing"
    )


def test_wrong_urls_name_the_variable():
    assert problems("", {"USER_SERVICE_URL": "a:1"}) == [
        "$USER_SERVICE_URL: [service:user] urls: 'a:1' has no scheme, write http://a:1"
    ]


def test_the_other_founding_variables():
    config = load(
        None,
        {"BODY_SIZE_LIMIT": "2mb", "SHUTDOWN_TIMEOUT_MS": "1500", "REDIS_URL": "x"},
    )
    assert config.gateway.max_body == 2 * 1024**2
    assert config.gateway.drain_timeout == 1.5
    assert config.unused == ("REDIS_URL",)


def test_the_file_comes_before_the_founding_variables():
    text = "[gateway]\nmax_body = 5\n[listener:a]\nendpoint = tcp:1\n"
    config = loads(text, "f", {"BODY_SIZE_LIMIT": "2mb", "PORT": "2"})
    assert config.gateway.max_body == 5
    assert config.listeners[0].endpoint.port == 1


def test_an_empty_founding_variable_is_none():
    assert load(None, {"PORT": "", "BODY_SIZE_LIMIT": " ", "USER_SERVICE_URL": ""}) == load(None, {})


# -- anything --------------------------------------------------------------------------------------------------------

DEFAULT = (ROOT / "etc/gw.ini").read_text()
LINES = [line for line in (ROOT / "etc/gw.reference.ini").read_text().split("\n") if line and line[0] != ";"]
PIECES = st.sampled_from([*LINES, "  more", "x = ${NONE}", "[service:user]", "[route]", "[listener:a]", "tls = yes"])
NAMES = st.sampled_from(
    ["PORT", "USER_SERVICE_URL", "USER_SERVICE_ENABLED", "BODY_SIZE_LIMIT", "APIGW__GATEWAY__MAX_BODY", "APIGW__X__Y"]
) | st.text("APIGW_SERVICEURL", min_size=1)


@given(
    st.text() | st.lists(PIECES, max_size=30).map("\n".join), st.dictionaries(NAMES, st.text(max_size=12), max_size=3)
)
def test_any_text_gives_a_configuration_or_its_errors(text, environ):
    try:
        config = loads(text, "f", environ)
    except ConfigErrors as errors:
        assert errors.errors
        assert all(error.origin.variable in environ or error.origin.file for error in errors.errors)
    else:
        assert isinstance(config, GatewayConfig)


@given(st.integers(0, len(DEFAULT)), st.integers(0, 8), st.text(max_size=4))
def test_any_damage_to_a_file_is_read_or_told(start, length, inserted):
    try:
        loads(DEFAULT[:start] + inserted + DEFAULT[start + length :], "f", {})
    except ConfigErrors as errors:
        assert all(error.origin.line for error in errors.errors)


def test_ten_thousand_routes_are_read_in_the_time_that_a_test_has():
    routes = "".join(
        f"[route:r{n}]\npath = /api/{n}\nhost = h{n % 100}.example\nservice = user\n" for n in range(10_000)
    )
    assert len(loads(USER + routes, "f", {}).routes) == 10_000
