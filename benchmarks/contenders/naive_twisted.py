# mypy: disallow-untyped-calls=False
"""A reverse proxy as a first afternoon with Twisted gives it: Site, Resource and treq, nothing tuned."""

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks.contender import HOST, Contender, Place, Running

ROOT = Path(__file__).parents[2]


def serve(port: int, tls_port: int, pem: str, upstream: int) -> None:
    """Forward everything that comes to the ports, until killed."""
    import treq
    from twisted.internet import endpoints, reactor
    from twisted.internet.defer import Deferred
    from twisted.web.client import HTTPConnectionPool
    from twisted.web.http_headers import Headers
    from twisted.web.resource import Resource
    from twisted.web.server import NOT_DONE_YET, Request, Site

    hop_by_hop = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = 1024

    class Proxy(Resource):
        isLeaf = True

        def render(self, request: Request) -> int:
            Deferred.fromCoroutine(self.forward(request)).addErrback(self.fail, request)
            return NOT_DONE_YET

        async def forward(self, request: Request) -> None:
            assert request.content is not None  # it is there once render was called
            headers = Headers()
            for name, values in request.requestHeaders.getAllRawHeaders():
                if name.lower() not in hop_by_hop | {b"content-length"}:
                    headers.setRawHeaders(name, values)
            answer = await treq.request(
                request.method.decode(),
                f"http://{HOST}:{upstream}{request.uri.decode()}",
                headers=headers,
                data=request.content.read() or None,
                allow_redirects=False,
                pool=pool,
            )
            body = await answer.content()
            request.setResponseCode(answer.code)
            for name, values in answer.headers.getAllRawHeaders():
                if name.lower() not in hop_by_hop:
                    request.responseHeaders.setRawHeaders(name, values)
            request.setHeader(b"content-length", b"%d" % len(body))
            request.write(body)
            request.finish()

        def fail(self, failure: object, request: Request) -> None:
            request.setResponseCode(502)
            request.finish()

    where = f"interface={HOST}:backlog=4096"
    for kind in f"tcp:{port}", f"ssl:{tls_port}:privateKey={pem}:certKey={pem}":
        endpoints.serverFromString(reactor, f"{kind}:{where}").listen(Site(Proxy()))
    reactor.run()


def start(place: Place, upstream: Running) -> Running:
    ports = str(place.port), str(place.tls_port), place.certificate, str(upstream.port)
    argv = [sys.executable, "-m", __name__, *ports]
    return place.spawn(argv, {"PYTHONPATH": str(ROOT)})


def version() -> str:
    return f"on Twisted {metadata.version('twisted')} and treq {metadata.version('treq')}"


def missing() -> str:
    return "" if find_spec("treq") else "treq isn't installed"


CONTENDER = Contender(name="naive twisted", start=start, version=version, missing=missing, streams=False)

if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
