"""A streaming reverse proxy on aiohttp and uvloop."""

from benchmarks import packages
from benchmarks.contender import Contender, Place, Running


def start(place: Place, upstream: Running) -> Running:
    source = str(packages.SOURCES / "aiohttp_proxy.py")
    ports = str(place.port), str(place.tls_port), place.certificate, str(upstream.port)
    return place.spawn([str(packages.python()), source, *ports])


CONTENDER = Contender(name="aiohttp", start=start, version=packages.python_versions, missing=packages.missing_python)
