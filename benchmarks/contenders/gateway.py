"""The gateway with no policy on, started by twistd: compiled, as one worker and as two, and as the checkout has it."""

import functools
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks import compiled
from benchmarks.contender import HOST, Contender, Place, Running

ROOT = Path(__file__).parents[2]

# Only what a benchmark needs: nothing logged, no cap on a body, and time enough for a client that stalls.
CONFIG = """\
[gateway]
workers = {workers}
access_log = off
max_body = 0
keepalive_timeout = 10m
[listener:bench]
endpoint = tcp:{port}:interface={host}:backlog=4096
[listener:tls]
endpoint = tcp:{tls}:interface={host}:backlog=4096
tls = yes
certificates = {pem}
[service:bench]
urls = http://{host}:{upstream}
max_connections = 2048
timeout.total = 10m
[route:bench]
path = /
service = bench
"""


TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


def interpreted() -> Path:
    """Where the checkout's own apigw is imported from."""
    return ROOT


def launch(
    place: Place,
    upstream: Running,
    program: Sequence[str] = TWISTD,
    code: Callable[[], Path] = compiled.code,
    workers: int = 1,
) -> Running:
    """Start it; ``program`` is twistd, with more options of its own if need be; ``code`` has apigw."""
    return twistd(place, CONFIG.format(**places(place, upstream), workers=workers), program, code)


def places(place: Place, upstream: Running) -> dict[str, object]:
    """What every configuration of the gateway here has to say of where it runs."""
    ports = {"port": place.port, "tls": place.tls_port, "upstream": upstream.port}
    return {"host": HOST, "pem": place.certificate, **ports}


def twistd(
    place: Place,
    config: str,
    program: Sequence[str] = TWISTD,
    code: Callable[[], Path] = compiled.code,
    env: Mapping[str, str] | None = None,
) -> Running:
    """Start a gateway of ``config`` with ``env`` added to the environment."""
    argv = [*program, "-n", "--pidfile=", "apigw", "--config", place.write("gw.ini", config)]
    return place.spawn(argv, {"PYTHONPATH": f"{code()}{os.pathsep}{ROOT}", **(env or {})})


def version() -> str:
    return f"compiled by mypyc {metadata.version('mypy')}, {interpreted_version()}"


def interpreted_version() -> str:
    return f"on Python {platform.python_version()} and Twisted {metadata.version('twisted')}"


def missing() -> str:
    return interpreted_missing() or compiled.missing()


def interpreted_missing() -> str:
    return "" if find_spec("apigw.tap") else "apigw.tap can't be imported"


CONTENDERS = (
    Contender(name="gateway", start=launch, version=version, missing=missing, http2=True),
    Contender(
        name="gateway-2-workers",
        start=functools.partial(launch, workers=2),
        version=version,
        missing=missing,
        streams=False,
        http2=True,
    ),
    Contender(
        name="gateway-interpreted",
        start=functools.partial(launch, code=interpreted),
        version=interpreted_version,
        missing=interpreted_missing,
        http2=True,
    ),
)
