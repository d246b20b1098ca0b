"""More of what a gateway keeps by the piece: keys of limits, and routes."""

from __future__ import annotations

import socket
import time
from typing import BinaryIO

from benchmarks.faults.scene import HEALTHY, Scene, SceneError, Watch, get

KEYS, KEYS_LONG = 200_000, 1_000_000
BATCH = 100  # requests at once on one connection
PER_KEY = 400  # bytes that a key of a limit may cost
ROUTES, ROUTES_LONG = 5_000, 50_000
PER_ROUTE = 16 << 10  # bytes that a route may cost, old and new ones side by side
RELOADS, ROUTES_EACH = 100, 1_000
RATE = 2_000.0  # requests a second
TURN = 0.05  # seconds
KEYED = """\
[service:nobody]
urls = http://127.0.0.1:1
retry.attempts = 1
[route:keyed]
path = /keyed
service = nobody
limit.ip = 1000/h
limit.by = header:X-One 1000/h
"""


def keys(scene: Scene) -> Watch:
    """Each request counts for two keys that nobody has had, its address and a field, and finds nobody."""
    count = KEYS_LONG if scene.long else KEYS
    ini = scene.ini(gateway="trusted_proxies = 127.0.0.1", limits=f"keys = {count}", more=KEYED)
    gateway = scene.gateway(ini)
    with scene.watched(gateway) as watch, socket.create_connection(("127.0.0.1", gateway.port), 10.0) as client:
        begun, statuses = time.monotonic(), set()
        reader = client.makefile("rb")
        for number in range(0, count // 2, BATCH):
            client.sendall(b"".join(map(_request, range(number, number + BATCH))))
            statuses |= {_status(reader) for _ in range(BATCH)}
        took = time.monotonic() - begun
        grown = gateway.memory() - watch.memory_before
        watch.kept_memory += count * PER_KEY
        watch.saw(f"{count:,} keys in {took:.0f} s, {grown / count:.0f} bytes each")
        watch.expect(statuses <= {502, 503}, f"answered with {statuses}")
        watch.over(lambda: get(gateway.port, HEALTHY)[0] == 200)
    return watch


def _request(number: int) -> bytes:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    fields = f"Host: gw\r\nX-Forwarded-For: {address}\r\nX-One: {number}\r\n"
    return f"GET /keyed HTTP/1.1\r\n{fields}\r\n".encode()


def _status(reader: BinaryIO) -> int:
    """Of the next answer. :raises SceneError: there is none."""
    head = [reader.readline()]
    while head[-1] not in (b"\r\n", b""):
        head.append(reader.readline())
    if head[-1] == b"":
        raise SceneError("the gateway ended a connection with limits to count")
    [length] = [int(line[15:]) for line in head if line.lower().startswith(b"content-length:")]
    reader.read(length)
    return int(head[0].split(b" ")[1])


def routes(scene: Scene) -> Watch:
    """A reload takes up a configuration with that many more, and another one drops them again."""
    count = ROUTES_LONG if scene.long else ROUTES
    few = scene.ini()
    gateway = scene.gateway(few)
    many = _routes(count)
    with scene.watched(gateway) as watch:
        gateway.config.write_text(few + many, "utf-8")
        outcome, took = gateway.reload()
        watch.saw(f"{count:,} routes taken up in {took:.1f} s")
        watch.expect(outcome == "ok", f"the reload came out as {outcome}")
        watch.expect(get(gateway.port, f"/many/{count - 1}/items")[0] == 200, "the last route isn't served")
        gateway.config.write_text(few, "utf-8")
        watch.expect(gateway.reload()[0] == "ok", "the second reload failed")
        watch.over(lambda: get(gateway.port, f"/many/{count - 1}/items")[0] == 404)
        watch.kept_memory += count * PER_ROUTE
    return watch


def reloads(scene: Scene) -> Watch:
    """One after the other, each the other way than the one before."""
    few = scene.ini()
    gateway = scene.gateway(few)
    with scene.watched(gateway, rate=RATE) as watch:
        watch.most_turn = TURN
        for number in range(RELOADS):
            gateway.config.write_text(few if number % 2 else few + _routes(ROUTES_EACH), "utf-8")
            watch.expect(gateway.reload()[0] == "ok", "a reload failed")
        watch.over(lambda: get(gateway.port, "/many/0/items")[0] == 404)
    return watch


def _routes(count: int) -> str:
    return "".join(f"[route:r{number}]\npath = /many/{number}/items\nservice = healthy\n" for number in range(count))
