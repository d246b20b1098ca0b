"""From what the admin listener says to what people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = list[Sequence[object]]
Value = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as need be."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts)
    return "\n".join(line.rstrip() for line in lines)


def status(value: Value) -> str:
    facts = [("status", value["status"]), ("version", value["version"]), ("uptime", f"{value['uptime_seconds']:.0f} s")]
    if value["draining"]:
        facts.append(("draining", "yes"))
    services = [(service["name"], service["status"], _usable(service["peers"])) for service in value["services"]]
    return "\n".join(
        [*(f"{name:8} {fact}" for name, fact in facts), "", table(("SERVICE", "STATUS", "PEERS"), services)]
    )


def _usable(peers: Sequence[Value]) -> str:
    return f"{sum(peer['usable'] for peer in peers)}/{len(peers)}"


def routes(value: Value) -> str:
    rows: Rows = [
        (
            route["name"],
            ",".join(route["methods"]) or "any",
            ",".join(route["host"]) or "any",
            route["path"],
            route["service"],
        )
        for route in value["routes"]
    ]
    return table(("ROUTE", "METHODS", "HOST", "PATH", "SERVICE"), rows)


def services(value: Value) -> str:
    rows: Rows = []
    for service in value["services"]:
        for peer in service["peers"]:
            counts = (peer["active"], peer["busy"], peer["idle"], service["waiting"])
            rows.append((service["name"], peer["name"], _health(peer), peer["breaker"], *counts))
    text = table(("SERVICE", "PEER", "HEALTH", "BREAKER", "ACTIVE", "BUSY", "IDLE", "QUEUE"), rows)
    troubles = [
        (service["name"], source["name"], source["error"])
        for service in value["services"]
        for source in service["sources"]
        if source["failing"]
    ]
    return "\n".join([text, "", table(("SERVICE", "SOURCE", "FAILS"), troubles)]) if troubles else text


def _health(peer: Value) -> str:
    if peer["drained"]:
        return "drained"
    return "ejected" if peer["ejected"] else {None: "-", True: "ok", False: "unhealthy"}[peer["healthy"]]


def peer(value: Value) -> str:
    return f"{value['name']}: {_health(value)}, breaker {value['breaker']}, {value['active']} requests under way"


def reload(value: Value) -> str:
    return "reloaded" if value["status"] == "ok" else f"refused: {value['reason']}"


def maintenance(value: Value) -> str:
    closed = [f"service {name} for {seconds:g} s" for name, seconds in value["services"].items()]
    closed += [f"route {name} for {seconds:g} s" for name, seconds in value["routes"].items()]
    if value["on"]:
        closed.insert(0, f"the gateway for {value['seconds']:g} s")
    return f"closed: {', '.join(closed)}" if closed else "open"


def explain(value: Value) -> str:
    route = value["route"]
    lines = [f"route     {route['name']}" + (f", {route['match']}" if route["match"] else "")]
    lines += [f"          {name} = {text}" for name, text in route["parameters"].items()]
    if value["others"]:
        lines += ["", table(("OTHERS", "MATCH", "LOST BECAUSE"), [_other(one) for one in value["others"]])]
    steps: Rows = [(one["stage"], _verdict(one), _facts(one["facts"])) for one in value["stages"]]
    if steps:
        lines += ["", table(("STAGE", "VERDICT", "BY"), steps)]
    forward = value["forward"]
    if forward is not None:
        for one in forward.get("parts", (forward,)):
            lines += ["", *([f"part      {one['name']}"] if "name" in one else []), *_forward(one)]
    lines += ["", _end(value)]
    return "\n".join(lines)


def _other(one: Value) -> Sequence[object]:
    return one["name"], one["match"], one["why"]


def _verdict(one: Value) -> str:
    if one["verdict"] == "refuse":
        return f"refuse: {one['status']} {one['code']}"
    return f"pass, would refuse: {one['would_refuse']}" if "would_refuse" in one else str(one["verdict"])


def _facts(facts: Value) -> str:
    return ", ".join(f"{name} {_fact(fact)}" for name, fact in facts.items() if fact not in ("", [], None))


def _fact(fact: object) -> str:
    if isinstance(fact, Mapping):
        return "(" + ", ".join(f"{name} {one}" for name, one in fact.items()) + ")"
    if isinstance(fact, list):
        return "/".join(map(str, fact))
    return {True: "yes", False: "no"}.get(fact, str(fact)) if isinstance(fact, bool) else str(fact)


def _split(forward: Value) -> list[str]:
    shares = forward["split"]
    if shares is None:
        return []
    told = [f"{one['service']}:{one['weight']}" + ("" if one["usable"] else " (left out)") for one in shares]
    return [f"split     {', '.join(told)}"]


def _forward(forward: Value) -> list[str]:
    timeouts = ", ".join(f"{name} {seconds} s" for name, seconds in forward["timeouts"].items() if seconds is not None)
    retries = forward["retries"]
    often = f"up to {retries['attempts']} attempts on {', '.join(retries['on'])}"
    if retries["attempts"] < 2 or not retries["method_may"]:
        often = "one attempt" if retries["attempts"] < 2 else f"{often}, of this method only before it is sent"
    peers: Rows = [
        (
            one["name"] + (" <" if one["name"] == forward["peer"] else ""),
            one["weight"],
            "yes" if one["backup"] else "no",
            one["active"],
            one["out"] or "-",
        )
        for one in forward["peers"]
    ]
    return [
        f"service   {forward['service']}",
        *_split(forward),
        f"peer      {forward['peer'] or 'none'}" + (f", by its {forward['picked_by']}" if forward["peer"] else ""),
        f"target    {forward['target']}",
        f"timeouts  {timeouts}",
        f"retries   {often}",
        "",
        table(("PEER", "WEIGHT", "BACKUP", "ACTIVE", "OUT BECAUSE"), peers),
        "",
        "fields sent",
        *(f"  {name}: {text}" for name, text in forward["fields"]),
    ]


def _end(value: Value) -> str:
    if value["verdict"] == "refuse":
        return f"it would be refused: {value['status']} {value['error']}"
    return "it would be forwarded" if value["verdict"] == "forward" else "the gateway would answer it by itself"


def plan(value: Value) -> str:
    lines = [f"{value['requests']} requests looked at, {value['changed']} would be treated otherwise"]
    if value["unknown"]:
        lines.append(f"{value['unknown']} can't be judged without their fields, or came under another configuration")
    rows: Rows = [
        (
            change["requests"],
            change["method"],
            change["host"] + change["path"],
            "-" if change["user"] is None else change["user"],
            _outcome(change["before"]),
            _outcome(change["after"]),
        )
        for change in value["changes"]
    ]
    if rows:
        lines += ["", table(("REQUESTS", "METHOD", "URL", "USER", "NOW", "THEN"), rows)]
    return "\n".join(lines)


def _outcome(one: Value) -> str:
    name = "no route" if one["route"] == "-" else one["route"]
    return f"{name}: {one['refused']}" if one["refused"] else f"{name} to {one['service'] or 'the gateway'}"
