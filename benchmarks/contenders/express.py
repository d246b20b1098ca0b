"""Express with http-proxy-middleware: bare, and with the policies that come as middleware."""

import functools

from attrs import evolve

from benchmarks import packages, token
from benchmarks.contender import Contender, Place, Running


def launch(place: Place, upstream: Running, source: str, *more: str) -> Running:
    """Start one of the sources for Node with its ports, and with ``more`` arguments."""
    directory = packages.node()
    place.write(source, (packages.SOURCES / source).read_text())
    # Node looks for packages above the file that asks for them, so a link stands beside it.
    (place.directory / "node_modules").symlink_to(directory / "node_modules")
    argv = ["node", source, str(place.port), str(place.tls_port), place.certificate, str(upstream.port), *more]
    return place.spawn(argv, {"NODE_ENV": "production"})


def start(place: Place, upstream: Running) -> Running:
    return launch(place, upstream, "express.js")


def start_full(place: Place, upstream: Running) -> Running:
    key = place.write("issuer.pem", token.public_key())
    server = launch(place, upstream, "express.js", key, token.ISSUER, token.AUDIENCE, token.ORIGIN)
    return evolve(server, headers=token.headers(), users=token.users())


version = functools.partial(packages.node_version, "express")

CONTENDERS = (
    Contender("express", start, version, packages.missing_node),
    Contender("express-full", start_full, version, packages.missing_node, streams=False),
)
