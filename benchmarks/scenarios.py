"""The table of scenarios: what is asked, over how many connections."""

import json

from attrs import frozen

from benchmarks.contender import Headers
from benchmarks.upstream import DOWNLOAD, KIB, MIB, POST, SMALL, SMALL_ANSWER, VARIED, small_body


@frozen
class Scenario:
    """
    One kind of load.

    ``answer`` is the least bytes that a right answer has, head and body together, of HTTP/2 the body alone.
    ``streams`` are requests at once on each connection of HTTP/2, and 0 for HTTP/1.1. With ``varied`` no two
    requests have the same path and fields. ``lua`` is more of wrk's script. A burst takes ``least`` seconds or more.
    """

    name: str
    title: str
    path: str
    connections: int
    answer: int
    body: bytes = b""
    headers: Headers = ()
    tls: bool = False
    streams: int = 0
    varied: bool = False
    lua: str = ""
    least: float = 0.0

    @property
    def http2(self) -> bool:
        return self.streams > 0


def _json(size: int) -> bytes:
    """A JSON document of exactly ``size`` bytes."""
    frame = len(json.dumps({"text": ""}))
    return json.dumps({"text": "x" * (size - frame)}).encode()


JSON = (("Content-Type", "application/json"),)
BYTES = (("Content-Type", "application/octet-stream"),)
CLOSE = (("Connection", "close"),)

# Heads differ among proxies by a field or two, so an answer may be a little shorter than the upstream's.
SHORTEST = SMALL_ANSWER - 60
SMALL_BODY = len(small_body())

TABLE = {
    scenario.name: scenario
    for scenario in (
        Scenario("small", "Small GET, keep-alive", SMALL, 32, SHORTEST),
        Scenario("post", "10 KiB JSON POST", POST, 32, SHORTEST, _json(10 * KIB), JSON),
        Scenario("download", "1 MiB download", DOWNLOAD, 8, MIB),
        Scenario("upload", "1 MiB upload", POST, 8, SHORTEST, bytes(MIB), BYTES),
        Scenario("connect", "Small GET, a new connection for each", SMALL, 32, SHORTEST, headers=CLOSE),
        Scenario("varied", "Small GET, heads that differ", VARIED, 32, SHORTEST, varied=True),
        Scenario("tls", "Small GET over TLS, keep-alive", SMALL, 32, SHORTEST, tls=True),
        Scenario("h2", "Small GET by HTTP/2 over TLS, 8 at once on each", SMALL, 8, SMALL_BODY, tls=True, streams=8),
        Scenario("thousand", "Small GET, many connections", SMALL, 1000, SHORTEST, least=2.0),
    )
}
