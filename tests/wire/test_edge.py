"""Limits, address lists, maintenance and careful browsers, at a real gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wire.gateway import Gateway
from tests.wire.sockets import Message, Service, Wire, connect

OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi"
INI = """\
[gateway]
access_log = -
{gateway}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[service:closed]
urls = http://127.0.0.1:{port}
maintenance = 10m
[route:shared]
path = /shared
service = user
[route:own]
path = /own
service = user
limit.ip = 1/m
[route:free]
path = /free
service = user
limit.ip = off
[route:watched]
path = /watched
service = user
limit.ip = 1/h
enforce = no
[route:whole]
path = /whole
service = user
limit.ip = off
limit.route = 1/15m
[route:denied]
path = /denied
service = user
deny_ips = 127.0.0.0/8
[route:closed]
path = /closed
service = closed
[route:careful]
path = /careful
service = user
limit.ip = off
security_headers = api
[limits]
ip = 3/m
{limits}
"""


class Asking:
    """A client and the service behind the gateway."""

    def __init__(self, gateway: Gateway, service: Service) -> None:
        self.gateway = gateway
        self._service = service
        self._wire = connect(gateway.port)
        self._there: Wire | None = None

    def served(self, path: bytes) -> Message:
        """Ask, and let the service answer."""
        self._wire.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        self._there = self._there or self._service.accept()
        self._there.request()
        self._there.send(OK)
        answer = self._wire.answer()
        assert answer.status == 200
        return answer

    def refused(self, path: bytes) -> Message:
        """Ask what the gateway answers by itself."""
        self._wire.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        return self._wire.answer()

    def close(self) -> None:
        self._wire.close()


def test_each_route_has_its_limits(own_service: Service, directory: Path) -> None:
    with Gateway(directory, INI.format(port=own_service.port, gateway="", limits="")) as gateway:
        asking = Asking(gateway, own_service)
        assert asking.served(b"/own").one(b"ratelimit-policy") == b'"ip";q=1;w=60'
        assert asking.served(b"/shared").one(b"ratelimit").startswith(b'"ip";r=2;t=')
        answer = asking.refused(b"/nowhere")
        assert answer.status == 404
        assert answer.one(b"ratelimit").startswith(b'"ip";r=1;t=')
        asking.served(b"/shared")
        answer = asking.refused(b"/shared")
        assert answer.status == 429
        assert 1 <= int(answer.one(b"retry-after")) <= 20
        assert gateway.line(answer.text("x-request-id"))["error"] == "rate-limited"
        assert asking.refused(b"/nowhere").status == 429
        assert asking.refused(b"/own").status == 429
        assert asking.refused(b"/health").status == 200
        for _ in range(5):
            assert not asking.served(b"/free").all(b"ratelimit")
        asking.served(b"/watched")
        answer = asking.served(b"/watched")
        assert gateway.line(answer.text("x-request-id"))["would_refuse"] == "rate-limited"
        asking.served(b"/whole")
        answer = asking.refused(b"/whole")
        assert answer.status == 429
        assert answer.one(b"ratelimit").startswith(b'"route";r=0;t=')
        asking.close()


def test_doors_are_closed_by_address_and_for_maintenance(own_service: Service, directory: Path) -> None:
    with Gateway(directory, INI.format(port=own_service.port, gateway="", limits="headers = legacy")) as gateway:
        asking = Asking(gateway, own_service)
        answer = asking.refused(b"/denied")
        assert answer.status == 403
        assert gateway.line(answer.text("x-request-id"))["error"] == "address-refused"
        answer = asking.refused(b"/closed")
        assert (answer.status, answer.one(b"retry-after")) == (503, b"600")
        assert asking.served(b"/shared").one(b"x-ratelimit-remaining") == b"2"
        answer = asking.served(b"/careful")
        assert answer.one(b"x-frame-options") == b"DENY"
        asking.close()


@pytest.mark.parametrize(
    ("gateway_ini", "status"),
    [("maintenance = on", 503), ("allow_ips = 10.0.0.0/8", 403), ("deny_ips = 127.0.0.1", 403)],
)
def test_the_gateway_as_a_whole_may_be_closed(
    own_service: Service, directory: Path, gateway_ini: str, status: int
) -> None:
    config = INI.format(port=own_service.port, gateway=gateway_ini, limits="")
    with Gateway(directory, config) as gateway:
        asking = Asking(gateway, own_service)
        assert asking.refused(b"/free").status == status
        assert asking.refused(b"/nowhere").status == status
        assert asking.refused(b"/health").status == (200 if status == 503 else 403)
        assert own_service.untouched()
        asking.close()


def test_the_founding_variables_limit_too(own_service: Service, directory: Path) -> None:
    environ = {
        "USER_SERVICE_URL": f"http://127.0.0.1:{own_service.port}",
        "PORT": "0",
        "RATE_LIMIT_MAX_REQUESTS": "2",
        "RATE_LIMIT_WINDOW_MS": "60000",
        "RATE_LIMIT_AUTH_MAX": "1",
    }
    with Gateway(directory, None, environ=environ) as gateway:
        asking = Asking(gateway, own_service)
        asking.served(b"/api/v1/auth/login")
        assert asking.refused(b"/api/v1/auth/login").one(b"ratelimit-policy") == b'"ip";q=1;w=60'
        asking.served(b"/api/v1/user/1")
        asking.served(b"/api/v1/user/1")
        assert asking.refused(b"/api/v1/user/1").status == 429
        asking.close()
