"""``python -m apigw``: what a running gateway says of itself, asked of its admin listener."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from apigw.config import ConfigErrors, load
from apigw.config.consumers import make_key

ADDRESS = "http://127.0.0.1:9900"
TOKEN_VARIABLE = "APIGW_ADMIN_TOKEN"
PATIENCE = 5.0
"""Seconds to wait for an answer that comes from memory."""

Rows = list[Sequence[object]]


class Trouble(Exception):
    """What the user is told."""


def ask(address: str, path: str, token: str) -> Any:
    """
    :return: the value of the JSON body.
    :raises Trouble: there was no such answer.
    """
    request = Request(address.rstrip("/") + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    opener = build_opener(ProxyHandler({}))  # whatever proxy the environment names, it isn't for this
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except HTTPError as error:
        error.close()
        hint = f": set {TOKEN_VARIABLE} or give --token-file" if error.code == 401 else ""
        raise Trouble(f"{address}{path}: {error.code} {error.reason}{hint}") from None
    except (URLError, OSError) as error:
        raise Trouble(f"{address}: {getattr(error, 'reason', error)}") from None
    except ValueError:
        raise Trouble(f"{address}: that is not the admin listener") from None


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as need be."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts)
    return "\n".join(line.rstrip() for line in lines)


def status(value: Mapping[str, Any]) -> str:
    facts = [("status", value["status"]), ("version", value["version"]), ("uptime", f"{value['uptime_seconds']:.0f} s")]
    if value["draining"]:
        facts.append(("draining", "yes"))
    services = [(service["name"], service["status"], _usable(service["peers"])) for service in value["services"]]
    return "\n".join(
        [*(f"{name:8} {fact}" for name, fact in facts), "", table(("SERVICE", "STATUS", "PEERS"), services)]
    )


def _usable(peers: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(peer['usable'] for peer in peers)}/{len(peers)}"


def routes(value: Mapping[str, Any]) -> str:
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


def services(value: Mapping[str, Any]) -> str:
    rows: Rows = []
    for service in value["services"]:
        for peer in service["peers"]:
            health = "ejected" if peer["ejected"] else {None: "-", True: "ok", False: "unhealthy"}[peer["healthy"]]
            counts = (peer["active"], peer["busy"], peer["idle"], service["waiting"])
            rows.append((service["name"], peer["name"], health, peer["breaker"], *counts))
    text = table(("SERVICE", "PEER", "HEALTH", "BREAKER", "ACTIVE", "BUSY", "IDLE", "QUEUE"), rows)
    troubles = [
        (service["name"], source["name"], source["error"])
        for service in value["services"]
        for source in service["sources"]
        if source["failing"]
    ]
    return "\n".join([text, "", table(("SERVICE", "SOURCE", "FAILS"), troubles)]) if troubles else text


COMMANDS = {
    "status": ("/health/detailed", status, "how the gateway and its services are"),
    "routes": ("/api/routes", routes, "which requests go where"),
    "services": ("/api/services", services, "each peer, its health, its connections"),
}


def check(path: str | None, as_json: bool) -> int:
    """Validate a configuration file as ``twistd apigw --check`` does; asks no gateway."""
    errors = ""
    try:
        load(path, os.environ)
    except ConfigErrors as wrong:
        errors = str(wrong)
    if as_json:
        print(json.dumps({"ok": not errors, "errors": errors.splitlines()}))
    else:
        print(errors or f"{path or 'environment'}: ok", file=sys.stderr if errors else sys.stdout)
    return 1 if errors else 0


def key(consumer: str, as_json: bool) -> int:
    """Make an API key; only its hash goes into the file of keys."""
    try:
        made, line = make_key(consumer)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(json.dumps({"key": made, "line": line}) if as_json else f"key   {made}\nline  {line}")
    return 0


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="for programs")
    made = argparse.ArgumentParser(prog="python -m apigw", description=__doc__.replace("``", ""))
    commands = made.add_subparsers(dest="command", required=True)
    for name, (_, _, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, parents=[common])
        command.add_argument("--admin", default=ADDRESS, metavar="URL", help=f"the admin listener; {ADDRESS}")
        command.add_argument("--token-file", metavar="FILE", help=f"has the token; else {TOKEN_VARIABLE} has it")
    command = commands.add_parser("check", help="whether a configuration is right", parents=[common])
    command.add_argument("file", nargs="?", help="the INI file; without it the environment alone")
    command = commands.add_parser("key", help="a new API key, and its line for the file of keys", parents=[common])
    command.add_argument("consumer", help="whose it is")
    return made


def token(file: str | None) -> str:
    """:raises Trouble: the file can't be read."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{file}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """:return: the exit status: 1 where no service is up, or there was no answer."""
    given = parser().parse_args(arguments)
    if given.command == "check":
        return check(given.file, given.json)
    if given.command == "key":
        return key(given.consumer, given.json)
    path, show, _ = COMMANDS[given.command]
    try:
        value = ask(given.admin, path, token(given.token_file))
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    print(json.dumps(value) if given.json else show(value))
    return 1 if value.get("status") == "down" else 0


if __name__ == "__main__":
    sys.exit(main())
