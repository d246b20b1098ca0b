"""Fastify with @fastify/http-proxy, bare."""

import functools

from benchmarks import packages
from benchmarks.contender import Contender, Place, Running
from benchmarks.contenders.express import launch


def start(place: Place, upstream: Running) -> Running:
    return launch(place, upstream, "fastify.js")


CONTENDER = Contender(
    name="fastify",
    start=start,
    version=functools.partial(packages.node_version, "fastify"),
    missing=packages.missing_node,
    http2=True,
)
