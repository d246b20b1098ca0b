from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from apigw.admin.access import AdminAccess
from apigw.admin.health import Health
from apigw.dates import HttpDate
from apigw.telemetry.upstreams import PeerState, ServiceState
from tests.kit import Memory

WELL = PeerState("10.0.0.1:80", 1, False, True, "", False, "closed", 0, 0, 1, 2)
SICK = evolve(WELL, healthy=False, reason="status 500")
TRIPPED = evolve(WELL, breaker="open")
EJECTED = evolve(WELL, ejected=True)


class Asked:
    """A gateway of which only the health can be asked."""

    def __init__(self, *services: ServiceState, essential: tuple[str, ...] = (), draining: bool = False) -> None:
        access = AdminAccess(b"0123456789abcdef")
        health = Health(
            "1.2.3", lambda: 4.5, lambda: draining, lambda: services, essential, access.check_public, HttpDate()
        )
        self.memory = Memory(across=health)

    def get(self, path: str, method: str = "GET", fields: str = "") -> tuple[int, Any]:
        client = self.memory.client()
        client.feed(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
        head, _, body = client.take().partition(b"\r\n\r\n")
        return int(head[9:12]), json.loads(body)


def service(name: str, *peers: PeerState) -> ServiceState:
    return ServiceState(name, 3, peers)


@pytest.mark.parametrize("path", ["/health", "/health/", "/health/live", "/health/startup", "/health/ready"])
def test_a_gateway_that_is_well(path: str):
    assert Asked(service("ai", SICK)).get(path) == (200, {"status": "ok", "version": "1.2.3", "uptime_seconds": 4.5})


def test_readiness_ends_with_draining():
    asked = Asked(draining=True)
    status, value = asked.get("/health/ready")
    assert (status, value["status"]) == (503, "draining")
    assert asked.get("/health/live")[0] == 200


@pytest.mark.parametrize("peers", [(), (SICK,), (TRIPPED,), (EJECTED,), (evolve(WELL, breaker="forced_open"),)])
def test_readiness_needs_what_is_essential(peers: tuple[PeerState, ...]):
    services = (service("ai", SICK), service("user", *peers))
    status, value = Asked(*services, essential=("user",)).get("/health/ready")
    assert (status, value["status"], value["missing"]) == (503, "unready", ["user"])
    assert Asked(service("user", *peers, WELL), essential=("user",)).get("/health/ready")[0] == 200


def test_services_are_told_without_addresses():
    asked = Asked(service("ai", WELL, SICK), service("user", WELL))
    status, value = asked.get("/health/services")
    assert (status, value["status"]) == (200, "degraded")
    assert value["services"] == [
        {"name": "ai", "status": "degraded", "peers": 2, "usable_peers": 1},
        {"name": "user", "status": "up", "peers": 1, "usable_peers": 1},
    ]


@pytest.mark.parametrize(
    ("services", "overall"),
    [((), "ok"), (((WELL,), (WELL,)), "ok"), (((WELL,), ()), "degraded"), (((SICK,), ()), "down")],
)
def test_the_state_of_the_whole(services: tuple[tuple[PeerState, ...], ...], overall: str):
    asked = Asked(*(service(f"s{number}", *peers) for number, peers in enumerate(services)))
    assert asked.get("/health/services")[1]["status"] == overall


def test_one_service():
    asked = Asked(service("ai", SICK), service("user", WELL))
    assert asked.get("/health/services/user") == (
        200,
        {"name": "user", "status": "up", "peers": 1, "usable_peers": 1},
    )
    assert asked.get("/health/services/ai")[0] == 503
    assert asked.get("/health/services/none")[0] == 404
    assert asked.get("/health/services/user/more")[0] == 404


def test_details_are_for_operators():
    asked = Asked(service("ai", SICK))
    assert asked.get("/health/detailed")[0] == 401  # the kit's clients are on other machines
    status, value = asked.get("/health/detailed", fields="Authorization: Bearer 0123456789abcdef\r\n")
    assert status == 200
    [ai] = value["services"]
    assert (ai["status"], ai["waiting"]) == ("down", 3)
    [peer] = ai["peers"]
    assert (peer["name"], peer["reason"], peer["busy"], peer["idle"]) == ("10.0.0.1:80", "status 500", 1, 2)


def test_what_there_is_not():
    assert Asked().get("/health/no")[0] == 404
    assert Asked().get("/health", method="POST", fields="Content-Length: 0\r\n")[0] == 405
