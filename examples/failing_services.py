#!/usr/bin/env python3
"""
Services that fail as a whole: what they cost themselves, and what they cost the others.

    python examples/failing_services.py [--rate 200] [--seconds 4] [--json]

Starts small services in a process of their own and the gateway in front of them, and shows with requests at a steady
rate that

- retries stay within the budget of a service that refuses all connections, and of one that cuts them at once. Breakers
  and ejection are off for these two, or there would be hardly any request to retry;
- a breaker that is half open lets exactly as many probes through at once as it should, whatever the load;
- four services answer as fast as before while a fifth one hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from failing_peers import answers, fetch, free_ports, process

BUDGET = 0.2
FLOOR = 3
"""Retries a second that are always allowed."""

PROBES = 3
OPEN_FOR = 0.5
"""Seconds for which a breaker is open."""

HEALTHY = ("one", "two", "three", "four")

CONFIG = """
[gateway]
access_log = off
[listener:example]
endpoint = tcp:{gateway}:interface=127.0.0.1
[admin]
endpoint = tcp:{admin}:interface=127.0.0.1
"""

SERVICE = """
[service:{name}]
urls = http://127.0.0.1:{port}
timeout.first_byte = 1s
{more}
[route:{name}]
path = /{name}
service = {name}
"""

NO_BREAKER = "breaker.volume = 1000000\noutlier.consecutive_5xx = 0\noutlier.consecutive_connect = 0"
BUDGETED = f"{NO_BREAKER}\nretry.backoff = 1ms..2ms\nretry.budget = 20%"
BROKEN = (
    f"retry.attempts = 1\nbreaker.open_for = {OPEN_FOR * 1000:.0f}ms\n"
    f"breaker.half_open = {PROBES}\nbreaker.closes_after = {PROBES}"
)
OPTIONS = {
    "refused": BUDGETED,
    "cut": BUDGETED,
    "sick": BROKEN,
    "hangs": "retry.attempts = 1\nbreaker.volume = 1000000",
}

# -- the services ------------------------------------------------------------------------------------------------------


class Small:
    """
    One service: counts what reaches it, and fails as it is told.

    :ivar mode: ``ok``, ``cut`` (connections end at once), ``500``, ``slow-500`` or ``hang``.
    """

    def __init__(self, all_of_them: dict[str, Small], mode: str) -> None:
        self._all = all_of_them
        self.mode = mode
        self.counts: Counter[str] = Counter()
        self.under_way = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "cut":
            self.counts["cut"] += 1
            writer.transport.abort()
            return
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.split()[1].decode(), writer)
                if b"connection: close" in head.lower():
                    break
        writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        status, body = 200, b"{}"
        _, word, *more = path.split("/")
        if word == "mode":
            self._all[more[0]].mode = more[1]
        elif word == "counts":
            body = json.dumps(self._all[more[0]].counts).encode()
        else:
            mode = self.mode
            self.counts[mode] += 1
            self.under_way += 1
            self.counts[f"most {mode}"] = max(self.counts[f"most {mode}"], self.under_way)
            if mode == "slow-500":
                await asyncio.sleep(0.3)
            elif mode == "hang":
                await asyncio.sleep(3600)
            self.under_way -= 1
            status = 500 if mode.endswith("500") else 200
        writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


async def serve(places: list[str]) -> None:
    """Be all of them, until killed. :param places: names and ports, such as ``one=8001``."""
    services: dict[str, Small] = {}
    for place in places:
        name, _, port = place.partition("=")
        services[name] = Small(services, "cut" if name == "cut" else "ok")
        await asyncio.start_server(services[name], "127.0.0.1", int(port), backlog=512)
    await asyncio.Event().wait()


# -- the play ----------------------------------------------------------------------------------------------------------


class Play:
    """
    :ivar gateway: port of the gateway; ``admin``: of its admin listener.
    :ivar ports: of the services, by name.
    """

    def __init__(self, gateway: int, admin: int, ports: dict[str, int], rate: float, seconds: float) -> None:
        self.gateway = gateway
        self.admin = admin
        self.ports = ports
        self.rate = rate
        self.seconds = seconds

    async def load(self, *names: str) -> list[tuple[str, int, float]]:
        """Requests in turn, at the steady rate. :return: of each its service, its status, and its seconds."""

        async def one(name: str) -> tuple[str, int, float]:
            begun = time.perf_counter()
            status, _, _ = await fetch(self.gateway, "GET", f"/{name}")
            return name, status, time.perf_counter() - begun

        tasks = []
        begun = time.perf_counter()
        for number in range(int(self.rate * self.seconds)):
            tasks.append(asyncio.ensure_future(one(names[number % len(names)])))
            await asyncio.sleep(max(0.0, begun + (number + 1) / self.rate - time.perf_counter()))
        return await asyncio.gather(*tasks)

    async def tell(self, name: str, mode: str) -> None:
        await fetch(self.ports["one"], "GET", f"/mode/{name}/{mode}")

    async def counts(self, name: str) -> Counter[str]:
        return Counter(json.loads((await fetch(self.ports["one"], "GET", f"/counts/{name}"))[1]))

    async def metric(self, name: str, service: str) -> int:
        """The sum over all labels but the service."""
        with await asyncio.to_thread(urlopen, f"http://127.0.0.1:{self.admin}/metrics") as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith(f"{name}{{") and f'service="{service}"' in line]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines)

    async def budget(self, name: str) -> dict[str, object]:
        """What a service that can't be reached gets."""
        begun = time.monotonic()
        requests = len(await self.load(name))
        elapsed = time.monotonic() - begun
        if name == "cut":
            attempts = (await self.counts(name))["cut"]
        else:
            attempts = await self.metric("apigw_upstream_attempts_total", name)
        return {
            "requests": requests,
            "attempts": attempts,
            "retries_that_the_gateway_counts": await self.metric("apigw_upstream_retries_total", name),
            "retries_allowed": int(BUDGET * requests + FLOOR * (elapsed + 1.0)),
        }

    async def probes(self) -> dict[str, object]:
        """What a service gets that goes on failing, slowly, and how long it takes until it is asked again."""
        await self.tell("sick", "500")
        requests = len(await self.load("sick"))
        await self.tell("sick", "slow-500")
        slowly = len(await self.load("sick"))
        counts = await self.counts("sick")
        await self.tell("sick", "ok")
        begun = time.monotonic()
        while (await fetch(self.gateway, "GET", "/sick"))[0] != 200:
            await asyncio.sleep(0.01)
        return {
            "requests_while_it_failed": requests + slowly,
            "of_them_at_the_service": counts["500"] + counts["slow-500"],
            "allowed": int(10 + PROBES * (2 * self.seconds / OPEN_FOR + 2)),
            "probes_at_once": counts["most slow-500"],
            "probes_allowed": PROBES,
            "seconds_until_back": round(time.monotonic() - begun, 2),
        }

    async def neighbours(self) -> dict[str, object]:
        """How fast the others are before and while one hangs."""
        await self.load("hangs", *HEALTHY)  # to warm up
        before = await self.load("hangs", *HEALTHY)
        await self.tell("hangs", "hang")
        during = await self.load("hangs", *HEALTHY)
        return {
            "p99_ms_before": _p99(before),
            "p99_ms_while_one_hangs": _p99(during),
            "failed_of_the_others": sum(status != 200 for name, status, _ in during if name != "hangs"),
            "answered_by_the_one_that_hangs": sum(status == 200 for name, status, _ in during if name == "hangs"),
        }


def _p99(outcomes: list[tuple[str, int, float]]) -> float:
    """Milliseconds, of the healthy services."""
    times = sorted(seconds for name, _, seconds in outcomes if name != "hangs")
    return round(times[int(len(times) * 0.99)] * 1000.0, 1)


async def play(rate: float, seconds: float, stack: contextlib.ExitStack) -> dict[str, object]:
    """:return: what came of it."""
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    names = ("refused", "cut", "sick", "hangs", *HEALTHY)
    gateway, admin, *free = free_ports(2 + len(names))
    ports = dict(zip(names, free, strict=True))
    config = CONFIG.format(gateway=gateway, admin=admin)
    for name, port in ports.items():
        config += SERVICE.format(name=name, port=port, more=OPTIONS.get(name, ""))
    Path(directory, "gw.ini").write_text(config)
    places = [f"{name}={port}" for name, port in ports.items() if name != "refused"]
    stack.enter_context(process(sys.executable, __file__, "--services", *places, cwd=directory))
    twistd = str(Path(sys.executable).with_name("twistd"))
    stack.enter_context(process(twistd, "-n", "--pidfile=", "apigw", "--config", "gw.ini", cwd=directory))
    for port in (ports["one"], gateway):
        await answers(port)
    show = Play(gateway, admin, ports, rate, seconds)
    return {
        "refused": await show.budget("refused"),
        "cut": await show.budget("cut"),
        "half_open": await show.probes(),
        "neighbours": await show.neighbours(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument("--seconds", type=float, default=4.0, help="for which each part lasts (4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--services", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.services is not None:
        asyncio.run(serve(options.services))
        return 0
    with contextlib.ExitStack() as stack:
        outcome = asyncio.run(play(options.rate, options.seconds, stack))
    if options.json:
        print(json.dumps(outcome))
    else:
        for name, part in outcome.items():
            print(name.replace("_", " "))
            assert isinstance(part, dict)
            for key, value in part.items():
                print(f"  {key.replace('_', ' '):32} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
