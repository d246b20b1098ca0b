"""The commands, their arguments, and what becomes of their answers."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from apigw.cli import local, tables
from apigw.cli.ask import ADDRESS, LONG, TOKEN_VARIABLE, Gateway, Trouble


@frozen
class Command:
    """
    One that asks a gateway.

    :ivar do: what it asks; raises :class:`Trouble`.
    :ivar show: makes text of the answer.
    :ivar arguments: adds its own.
    """

    text: str
    do: Callable[[Gateway, Namespace], Any]
    show: Callable[[Any], str]
    arguments: Callable[[ArgumentParser], object] = lambda _: None


def _peer_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("service")
    parser.add_argument("peer", help="as `services` has it, such as 10.0.0.1:9001")


def _breaker_arguments(parser: ArgumentParser) -> None:
    _peer_arguments(parser)
    parser.add_argument("action", choices=("open", "close", "reset"))


def _maintenance_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("state", nargs="?", choices=("on", "off"), help="without it: what is closed")
    parser.add_argument("--service", help="only this one")
    parser.add_argument("--route", help="only this one")
    parser.add_argument("--for", dest="lasts", metavar="TIME", help="for Retry-After, such as 10m")


def _level_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("level", nargs="?", choices=("debug", "info", "warn", "error", "critical"))
    parser.add_argument("--namespace", help="such as apigw.upstream; without it all")


def _explain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="[METHOD] URL", help="such as GET https://api.example.com/users/7")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="NAME: VALUE", dest="headers")
    parser.add_argument("--client", default="", metavar="ADDRESS", help="where it comes from; 127.0.0.1")


def _plan_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", help="another INI file; variables in it are those of the gateway")


def _act(action: str) -> Callable[[Gateway, Namespace], Any]:
    def do(gateway: Gateway, given: Namespace) -> Any:
        return gateway.post("/api/peers", {"service": given.service, "peer": given.peer, "action": action})

    return do


def _breaker(gateway: Gateway, given: Namespace) -> Any:
    return gateway.post("/api/breakers", {"service": given.service, "peer": given.peer, "action": given.action})


def _maintenance(gateway: Gateway, given: Namespace) -> Any:
    if given.state is None:
        return gateway.get("/api/maintenance")
    body: dict[str, object] = {"on": given.state == "on"}
    body |= {"service": given.service} if given.service else {}
    body |= {"route": given.route} if given.route else {}
    body |= {"for": given.lasts} if given.lasts else {}
    return gateway.post("/api/maintenance", body, LONG)


def _level(gateway: Gateway, given: Namespace) -> Any:
    if given.level is None:
        return gateway.get("/api/log-level")
    return gateway.post("/api/log-level", {"level": given.level, "namespace": given.namespace or ""})


def _explain(gateway: Gateway, given: Namespace) -> Any:
    if len(given.words) > 2:
        raise Trouble("explain takes a method and a URL, or a URL")
    *method, url = given.words
    headers = []
    for line in given.headers:
        name, colon, value = line.partition(":")
        if not colon:
            raise Trouble(f"-H {line!r} is not like 'Name: value'")
        headers.append([name.strip(), value.strip()])
    body = {"method": method[0] if method else "GET", "url": url, "headers": headers, "client": given.client}
    return gateway.post("/api/explain", body)


def _plan(gateway: Gateway, given: Namespace) -> Any:
    try:
        text = Path(given.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{given.file}: {error}") from None
    return gateway.post("/api/plan", {"config": text}, LONG)


def _purge(gateway: Gateway, given: Namespace) -> Any:
    body: dict[str, object] = {}
    if given.url:
        parts = urlsplit(given.url)
        if parts.netloc:
            body["host"] = parts.netloc
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        body |= {"path": path, "prefix": given.prefix}
    elif not (given.route or given.all):
        raise Trouble("name a URL or a path, --route NAME, or --all")
    if given.route:
        body["route"] = given.route
    return gateway.post("/api/cache/purge", body)


def _purge_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", help="https://api.example.com/a?b=c, or /a for all hosts")
    parser.add_argument("--prefix", action="store_true", help="and all that begins with it")
    parser.add_argument("--route", metavar="NAME", help="of one route alone")
    parser.add_argument("--all", action="store_true", help="everything")


def _levels(value: Any) -> str:
    return "\n".join([value["level"], *(f"{name} {level}" for name, level in value["namespaces"].items())])


COMMANDS = {
    "status": Command(
        "how the gateway and its services are", lambda gateway, _: gateway.get("/health/detailed"), tables.status
    ),
    "routes": Command("which requests go where", lambda gateway, _: gateway.get("/api/routes"), tables.routes),
    "services": Command(
        "each peer, its health, its connections", lambda gateway, _: gateway.get("/api/services"), tables.services
    ),
    "reload": Command(
        "take the configuration that there is now",
        lambda gateway, _: gateway.post("/api/reload", {}, LONG),
        tables.reload,
    ),
    "drain": Command("send no new requests to a peer", _act("drain"), tables.peer, _peer_arguments),
    "restore": Command("let a drained peer have requests again", _act("restore"), tables.peer, _peer_arguments),
    "breaker": Command("hold a peer's breaker open or closed, or reset it", _breaker, tables.peer, _breaker_arguments),
    "maintenance": Command(
        "close the gateway, a service or a route", _maintenance, tables.maintenance, _maintenance_arguments
    ),
    "log-level": Command("how much the gateway's log tells", _level, _levels, _level_arguments),
    "purge": Command(
        "keep answers in the cache no more",
        _purge,
        lambda value: f"{value['purged']} answers purged",
        _purge_arguments,
    ),
    "explain": Command("what would become of a request, and why", _explain, tables.explain, _explain_arguments),
    "plan": Command("what another file would do to the last requests", _plan, tables.plan, _plan_arguments),
}


def parser() -> ArgumentParser:
    common = ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="for programs")
    made = ArgumentParser(
        prog="python -m apigw", description="What a running gateway says of itself, and is told to do."
    )
    commands = made.add_subparsers(dest="command", required=True)
    for name, one in COMMANDS.items():
        command = commands.add_parser(name, help=one.text, parents=[common])
        command.add_argument("--admin", default=ADDRESS, metavar="URL", help=f"the admin listener; {ADDRESS}")
        command.add_argument("--token-file", metavar="FILE", help=f"has the token; else {TOKEN_VARIABLE} has it")
        one.arguments(command)
    command = commands.add_parser("check", help="whether a configuration is right", parents=[common])
    command.add_argument("file", nargs="?", help="the INI file; without it the environment alone")
    command = commands.add_parser("key", help="a new API key, and its line for the file of keys", parents=[common])
    command.add_argument("consumer", help="whose it is")
    command = commands.add_parser("token", help="a new token: for operators, or for a user", parents=[common])
    command.add_argument("user", nargs="?", help="whom it is for; without it one for the admin listener")
    command.add_argument("--config", metavar="FILE", help="has the secret in [jwt]; without it the environment alone")
    command.add_argument("--roles", default="", help="with commas between them")
    command.add_argument("--scopes", default="", help="likewise")
    command.add_argument("--for", dest="lasts", default="1h", metavar="TIME", help="how long it counts; 1h")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """:return: the exit status: 1 where no service is up, a request would be refused, or there was no answer."""
    given = parser().parse_args(arguments)
    if given.command == "check":
        return local.check(given.file, given.json)
    if given.command == "key":
        return local.key(given.consumer, given.json)
    if given.command == "token":
        return local.token(given.config, given.user, given.roles, given.scopes, given.lasts, given.json)
    command = COMMANDS[given.command]
    try:
        value = command.do(Gateway(given), given)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    print(json.dumps(value) if given.json else command.show(value))
    return 1 if value.get("status") == "down" or value.get("verdict") == "refuse" else 0
