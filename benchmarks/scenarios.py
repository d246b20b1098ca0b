"""The table of scenarios: what is asked, over how many connections."""

import json

from attrs import frozen

from benchmarks.upstream import DOWNLOAD, KIB, MIB, POST, SMALL, SMALL_ANSWER


@frozen
class Scenario:
    """One kind of load: ``answer`` is the least bytes that a right answer has, head and body together."""

    name: str
    title: str
    path: str
    connections: int
    answer: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def _json(size: int) -> bytes:
    """A JSON document of exactly ``size`` bytes."""
    frame = len(json.dumps({"text": ""}))
    return json.dumps({"text": "x" * (size - frame)}).encode()


JSON = (("Content-Type", "application/json"),)
BYTES = (("Content-Type", "application/octet-stream"),)
CLOSE = (("Connection", "close"),)

# Heads differ among proxies by a field or two, so an answer may be a little shorter than the upstream's.
SHORTEST = SMALL_ANSWER - 60

TABLE = {
    scenario.name: scenario
    for scenario in (
        Scenario("small", "Small GET, keep-alive", SMALL, 32, SHORTEST),
        Scenario("post", "10 KiB JSON POST", POST, 32, SHORTEST, _json(10 * KIB), JSON),
        Scenario("download", "1 MiB download", DOWNLOAD, 8, MIB),
        Scenario("upload", "1 MiB upload", POST, 8, SHORTEST, bytes(MIB), BYTES),
        Scenario("connect", "Small GET, a new connection for each", SMALL, 32, SHORTEST, headers=CLOSE),
        Scenario("thousand", "Small GET, 1,000 connections", SMALL, 1000, SHORTEST),
    )
}
