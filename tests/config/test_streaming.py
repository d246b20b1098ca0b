import pytest

from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors

ROUTE = "[service:user]\nurls = http://a\n[route:users]\npath = /\nservice = user\n"


def test_nothing_is_on_by_itself():
    [route] = loads(ROUTE, "f", {}).routes
    assert (route.upgrade, route.events.heartbeat, route.compression) == ((), None, "off")
    assert (route.tunnel.idle, route.tunnel.total, route.tunnel.user, route.tunnel.route) == (
        300.0,
        86400.0,
        100,
        10000,
    )


def test_protocols():
    [route] = loads(f"{ROUTE}upgrade = WebSocket, foo/2\n", "f", {}).routes
    assert route.upgrade == ("websocket", "foo/2")


@pytest.mark.parametrize("name", ["h2c", "H2", "HTTP/2.0", "TLS/1.0"])
def test_http_in_a_tunnel_is_none(name):
    with pytest.raises(ConfigErrors, match=r"upgrade: '.*' would carry requests past all policies, leave it out"):
        loads(f"{ROUTE}upgrade = websocket, {name}\n", "f", {})


def test_what_is_no_protocol():
    with pytest.raises(ConfigErrors, match="'a b' is not the name of a protocol"):
        loads(f"{ROUTE}upgrade = a b\n", "f", {})
