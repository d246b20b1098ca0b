"""No proxy at all: the upstream itself, for what the answer alone costs."""

from benchmarks import nginx
from benchmarks.contender import Contender, Place, Running


def start(place: Place, upstream: Running) -> Running:
    return upstream


CONTENDER = Contender(
    name="direct", start=start, version=nginx.version, missing=nginx.missing, streams=False, http2=True
)
