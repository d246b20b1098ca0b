"""What would become of a request, and why: the path of a request without one, for operators who ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import urlsplit

from attrs import asdict, frozen

from apigw.admin.operations import Asked, Operation, wrong
from apigw.errors import GatewayError
from apigw.finder import ProxyRoutes
from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits, find_head
from apigw.http1.request import parse_request_head
from apigw.messages import ClientAddress, Exchange, Outlet, Request
from apigw.pipeline import Explained, Route
from apigw.routing import RouteMatch, describe
from apigw.upstream.explain import peers, picked, seconds, shown_fields
from apigw.upstream.upstream import Upstream

MAX_BODY = 2 * 1024 * 1024
"""Bytes: a hundred fields of the longest."""

NEAREST = 5
"""Other routes that are told."""


@frozen
class Step:
    """One stage with what it would do."""

    name: str
    explained: Explained


@frozen
class Course:
    """
    :ivar steps: up to the one that ends the way.
    :ivar error: what the client would get instead of an answer, None for an answer.
    """

    route: Route
    steps: list[Step]
    error: GatewayError | None
    answers: bool


def exchange_of(
    method: str, url: str, fields: Iterable[tuple[str, str]], client: str, begun: float, version: str = "1.1"
) -> Exchange:
    """
    An exchange of a request as it would come in.

    :param url: with scheme and host; the path as it is to be sent.
    :raises ClientError: it is no request.
    """
    scheme, mark, rest = url.partition("://")
    authority = rest.split("/", 1)[0].split("?", 1)[0]
    target = rest[len(authority) :].split("#", 1)[0] or "/"
    if target.startswith("?"):
        target = "/" + target
    if not mark or scheme not in ("http", "https") or not authority:
        raise wrong("The URL must be like https://api.example.com/path.")
    try:
        urlsplit(url)
        address = str(ip_address(client)) if client else "127.0.0.1"
    except ValueError:
        raise wrong("The URL or the client's address is not valid.") from None
    lines = [f"{method} {target} HTTP/{version}", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in fields if name.lower() != "host"]
    try:
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        end = find_head(data, HeadLimits())
        if end != len(data):
            raise wrong("Method, URL and fields may not have line ends in them.")
        head = parse_request_head(data)
    except UnicodeEncodeError:
        raise wrong("Method, URL and fields must be of Latin-1.") from None
    except BadMessage as bad:
        raise wrong(f"It would be refused as no valid request: {bad.detail}") from None
    path, question, query = head.path.partition(b"?")
    address_of = ClientAddress(address, 0, scheme.encode())
    request = Request(
        head.method,
        head.target,
        path,
        question + query,
        head.authority,
        head.fields,
        head.options,
        b"1.%d" % head.minor,
        address_of,
        {},
    )
    return Exchange(request, cast(Outlet, None), begun)


def course(
    find: Callable[[Exchange], Route], exchange: Exchange, look: Callable[[Any, Exchange], Explained | None]
) -> Course:
    """
    Lead an exchange down the stages of its route.

    :param look: explains a stage.
    """
    route = exchange.route = find(exchange)
    steps: list[Step] = []
    for stage in route.stages:
        explained = look(stage, exchange)
        if explained is None:
            continue
        steps.append(Step(type(stage).__name__, explained))
        if explained.error is not None or explained.answers:
            return Course(route, steps, explained.error, explained.answers)
    return Course(route, steps, exchange.error, False)


def explain_stage(stage: Any, exchange: Exchange) -> Explained | None:
    found: Explained | None = stage.explain(exchange)
    return found


class Explainer:
    """
    :param upstreams: of all services, by name.
    :param now: monotonic seconds.
    """

    def __init__(self, find: ProxyRoutes, upstreams: Mapping[str, Upstream], now: Callable[[], float]) -> None:
        self._find = find
        self._upstreams = upstreams
        self._now = now

    def operations(self) -> Iterable[Operation]:
        text = {"type": "string", "maxLength": 8192}
        field = {"type": "array", "maxItems": 2, "items": text}
        yield Operation(
            "POST",
            "/api/explain",
            "What would become of a request, without any traffic: route, stages, peer, timeouts, fields.",
            self._explain,
            {"type": "object", "required": ["route", "others", "stages", "verdict", "status"]},
            takes={
                "method": {"type": "string", "minLength": 1, "maxLength": 32},
                "url": {"type": "string", "minLength": 1, "maxLength": 8192},
                "headers": {"type": "array", "maxItems": 100, "items": field},
                "client": {"type": "string", "maxLength": 64},
            },
            needs=("url",),
            cap=MAX_BODY,
        )

    def _explain(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        fields = []
        for one in body.get("headers", ()):
            if len(one) != 2:
                raise wrong("Each of headers is a list of a name and a value.")
            fields.append((one[0], one[1]))
        exchange = exchange_of(body.get("method", "GET"), body["url"], fields, body.get("client", ""), self._now())
        return self.explain(exchange)

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """All that can be known, as JSON has it."""
        way = course(self._find, exchange, explain_stage)
        route, error = way.route, way.error
        told = self._find.why(exchange)
        match = next((match for match, one, why in told if why is None), None)
        found: dict[str, Any] = {
            "route": {
                "name": route.name,
                "service": route.service or None,
                "match": None if match is None else describe(match),
                "parameters": {name: value.decode("latin-1") for name, value in (exchange.params or {}).items()},
            },
            "others": _others(told, exchange),
            "stages": [_step(step) for step in way.steps],
            "forward": None,
        }
        explain = getattr(route.across, "explain", None)
        if error is None and not way.answers and explain is not None:
            try:
                planned = explain(exchange)
                if "parts" in planned:
                    parts = [
                        {"name": name} | self._forward(service, exchange, one)
                        for name, service, one in planned["parts"]
                    ]
                    found["forward"] = {"parts": parts}
                    return found | {"verdict": "forward", "status": None, "error": None}
                service = planned.get("service", route.service)
                found["forward"] = forward = self._forward(service, exchange, planned)
                if not forward["peer"]:
                    return found | {"verdict": "refuse", "status": 503, "error": "No peer can get it now."}
            except GatewayError as failed:
                error = failed
        if error is not None:
            return found | {"verdict": "refuse", "status": error.status, "error": f"{error.code}: {error}"}
        verdict = "forward" if found["forward"] is not None else "answer"
        return found | {"verdict": verdict, "status": None, "error": None}

    def _forward(self, service: str, exchange: Exchange, planned: dict[str, Any]) -> dict[str, Any]:
        now = self._now()
        upstream = self._upstreams[service]
        key = planned["key"]
        peer, by = picked(upstream, exchange, now, None if key is None else key.encode("latin-1"))
        lines = planned["lines"]
        authority = next((one.authority for one in upstream.peers if one.label == peer), b"")
        if not planned["has_host"]:
            lines = b"Host: %b\r\n%b" % (authority, lines)
        timeouts, policy = planned["timeouts"], planned["retries"].policy
        return {
            "service": service,
            "split": planned.get("split"),
            "peer": peer,
            "picked_by": by,
            "key": key,
            "peers": peers(upstream, now),
            "target": planned["target"],
            "fields": shown_fields(lines),
            "timeouts": {name: seconds(value) for name, value in asdict(timeouts).items()},
            "retries": {
                "attempts": policy.attempts,
                "on": [*sorted(policy.reasons), *map(str, sorted(policy.statuses))],
                "method_may": exchange.request.method in policy.methods,
            },
            "fallback": planned.get("fallback"),
        }


def _step(step: Step) -> dict[str, Any]:
    one = step.explained
    verdict = "refuse" if one.error is not None else "answer" if one.answers else "unknown" if one.unknown else "pass"
    found: dict[str, Any] = {"stage": step.name, "verdict": verdict, "facts": dict(one.facts)}
    if one.error is not None:
        found |= {"status": one.error.status, "code": one.error.code, "detail": str(one.error)}
    if one.reports:
        found["would_refuse"] = one.reports
    if one.unknown:
        found["detail"] = one.unknown
    return found


def _others(told: list[tuple[RouteMatch, Route, str | None]], exchange: Exchange) -> list[dict[str, Any]]:
    """Those that came closest, and why they lost."""
    path = exchange.request.path.split(b"/")

    def distance(match: RouteMatch, why: str) -> tuple[int, int]:
        kinds = ("another route", "the path can", "the method", "the field", "the host")
        kind = next((index for index, word in enumerate(kinds) if why.startswith(word)), len(kinds))
        pattern = match.path.removeprefix("=").encode().split(b"/")
        same = sum(one == other for one, other in zip(path, pattern))  # noqa: B905 (of different lengths)
        return kind, -same

    lost = [(match, route, why) for match, route, why in told if why is not None]
    lost.sort(key=lambda one: distance(one[0], one[2]))
    return [{"name": route.name, "match": describe(match), "why": why} for match, route, why in lost[:NEAREST]]
