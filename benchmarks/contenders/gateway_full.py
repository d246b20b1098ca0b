"""The gateway with everything on that a request meets in production, with and without signed identities."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from benchmarks import compiled, token
from benchmarks.contender import Contender, Place, Running
from benchmarks.contenders import gateway

# Limits that count and never refuse; breaker and retries are on by default, and are written for the reader.
CONFIG = """\
[gateway]
access_log = access.log
max_body = 2MiB
keepalive_timeout = 10m
security_headers = api
[listener:bench]
endpoint = tcp:{port}:interface={host}:backlog=4096
[listener:tls]
endpoint = tcp:{tls}:interface={host}:backlog=4096
tls = yes
certificates = {pem}
[admin]
endpoint = unix:admin.sock
[jwt]
algorithms = RS256
public_key_file = issuer.pem
issuer = {issuer}
audience = {audience}
[identity]
sign = {sign}
{secret}
[cors]
origins = {origin}
credentials = yes
[limits]
ip = 100000000/m
user = 100000000/m
[tracing]
otlp_endpoint = http://{host}:9/v1/traces
sample = 0%
[service:bench]
urls = http://{host}:{upstream}
max_connections = 2048
timeout.total = 10m
retry.attempts = 3
breaker.ratio = 50%
health.path = /small
health.interval = 1s
[route:bench]
path = /
service = bench
auth = required
scopes = read
limit.route = 100000000/m
"""
SECRET = {"BENCH_SECRET": "0123456789abcdef" * 4}


def start(
    place: Place,
    upstream: Running,
    sign: bool,
    program: Sequence[str] = gateway.TWISTD,
    code: Callable[[], Path] = compiled.code,
) -> Running:
    place.write("issuer.pem", token.public_key())
    config = CONFIG.format(
        **gateway.places(place, upstream),
        issuer=token.ISSUER,
        audience=token.AUDIENCE,
        origin=token.ORIGIN,
        sign="hmac" if sign else "none",
        secret="secret_env = BENCH_SECRET" if sign else "",
    )
    return evolve(gateway.twistd(place, config, program, code, SECRET), headers=token.headers(), users=token.users())


def contender(name: str, sign: bool) -> Contender:
    return Contender(
        name=name,
        start=functools.partial(start, sign=sign),
        version=gateway.version,
        missing=gateway.missing,
        streams=False,
        http2=True,
    )


CONTENDERS = (
    contender("gateway-full", False),
    contender("gateway-full-signed", True),
    Contender(
        name="gateway-full-interpreted",
        start=functools.partial(start, sign=False, code=gateway.interpreted),
        version=gateway.interpreted_version,
        missing=gateway.interpreted_missing,
        streams=False,
        http2=True,
    ),
)
