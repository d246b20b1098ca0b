"""What is told of a request and its attempts."""

from __future__ import annotations

from typing import Any

import pytest

from apigw.errors import UpstreamReset
from apigw.messages import Attempt, ClientAddress, Exchange, Request, Response, Trace
from apigw.pipeline import Route
from apigw.policy import redact
from apigw.telemetry.spans import MAX_VALUE, Spans

TRACE = Trace(b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7", b"", True, 3, b"")


def exchange(method: bytes = b"GET", authority: bytes = b"gw", agent: bytes = b"probe") -> Exchange:
    """One that has ended."""
    client = ClientAddress("192.0.2.7", 1, b"http")
    fields = [(b"User-Agent", agent)]
    request = Request(method, b"/a", b"/a", b"?token=x", authority, fields, (), b"1.1", client, {})
    made = Exchange(request, None, 100.0)  # type: ignore[arg-type]
    made.route = Route("users", "user", (), lambda exchange: Response(200, b"OK", []))
    made.response = Response(200, b"", [])
    made.complete = True
    return made


def attempt(begun: float, peer: str = "10.0.0.1:80", status: int = 200, first_byte: float = 0.0) -> Attempt:
    made = Attempt(begun)
    made.peer, made.status, made.first_byte, made.span_id = peer, status, first_byte, b"1" * 16
    return made


def spans(of: Exchange) -> list[dict[str, Any]]:
    """Told 50 s after monotonic zero's 100, at 1000 s of the epoch."""
    made = Spans(lambda: 1000.0, lambda: 150.0, redact.redacted)
    found = []
    for span in made.of(of, TRACE):
        values = {
            one["key"]: one["value"].get("stringValue", one["value"].get("intValue")) for one in span["attributes"]
        }
        times = {name: int(span[name]) / 1e9 for name in ("startTimeUnixNano", "endTimeUnixNano")}
        found.append({**span, "attributes": values, **times})
    return found


@pytest.mark.parametrize(
    ("authority", "address", "port"),
    [
        (b"gw", "gw", None),
        (b"gw.example:8443", "gw.example", "8443"),
        (b"[::1]:8080", "::1", "8080"),
        (b"[::1]", "::1", None),
        (b"", None, None),
    ],
)
def test_the_address_that_a_client_named(authority: bytes, address: str | None, port: str | None) -> None:
    [span] = spans(exchange(authority=authority))
    assert span["attributes"].get("server.address") == address
    assert span["attributes"].get("server.port") == port


@pytest.mark.parametrize(
    ("peer", "address", "port"),
    [
        ("10.0.0.1:80", "10.0.0.1", "80"),
        ("[2001:db8::1]:80", "2001:db8::1", "80"),
        ("unix:/run/a.sock", "/run/a.sock", None),
        ("", None, None),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str | None, port: str | None) -> None:
    asked = exchange()
    asked.attempts.append(attempt(110.0, peer))
    _, span = spans(asked)
    assert span["attributes"].get("server.address") == address
    assert span["attributes"].get("server.port") == port


def test_times_are_those_of_the_epoch_and_pauses_belong_to_no_attempt() -> None:
    asked = exchange()
    asked.attempts += [attempt(110.0, status=503, first_byte=115.0), attempt(130.0, first_byte=140.0)]
    request, first, second = spans(asked)
    assert (request["startTimeUnixNano"], request["endTimeUnixNano"]) == (950.0, 1000.0)
    assert (first["startTimeUnixNano"], first["endTimeUnixNano"]) == (960.0, 965.0)
    assert (second["startTimeUnixNano"], second["endTimeUnixNano"]) == (980.0, 1000.0)
    assert (first["status"]["code"], "status" in second, "status" in request) == (2, False, False)
    assert second["attributes"]["http.request.resend_count"] == "1"


def test_an_attempt_that_failed() -> None:
    asked = exchange()
    failed = attempt(110.0, status=0)
    failed.error = UpstreamReset()
    asked.attempts.append(failed)
    _, span = spans(asked)
    assert span["attributes"]["error.type"] == span["status"]["message"] == "upstream-reset"
    assert "http.response.status_code" not in span["attributes"]


def test_methods_that_nobody_knows_are_no_names() -> None:
    [span] = spans(exchange(method=b"BREW"))
    assert span["name"] == "HTTP users"
    assert span["attributes"]["http.request.method"] == "_OTHER"
    assert span["attributes"]["http.request.method_original"] == "BREW"


def test_values_have_a_bound_and_hold_no_secret() -> None:
    [span] = spans(exchange(agent=b"x" * 100_000))
    assert len(span["attributes"]["user_agent.original"]) == MAX_VALUE
    assert span["attributes"]["url.query"] == "token=*"
    assert span["flags"] == 3
