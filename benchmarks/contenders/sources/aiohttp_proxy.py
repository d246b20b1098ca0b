"""A reverse proxy on aiohttp and uvloop that streams: ``aiohttp_proxy.py PORT TLS-PORT PEM UPSTREAM-PORT``."""

import asyncio
import ssl
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOST = "127.0.0.1"
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


async def main(port: int, tls_port: int, pem: str, upstream: int) -> None:
    session = ClientSession(
        f"http://{HOST}:{upstream}",
        connector=TCPConnector(limit=0),
        timeout=ClientTimeout(total=None),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
    )

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        body = request.content if request.can_read_body else None
        async with session.request(
            request.method, request.rel_url, headers=headers, data=body, allow_redirects=False
        ) as got:
            answer = web.StreamResponse(status=got.status, reason=got.reason)
            for name, value in got.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    answer.headers.add(name, value)
            await answer.prepare(request)
            async for piece in got.content.iter_any():
                await answer.write(piece)
            await answer.write_eof()
            return answer

    runner = web.ServerRunner(web.Server(forward, keepalive_timeout=600, access_log=None))
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    await web.TCPSite(runner, HOST, port, backlog=4096).start()
    await web.TCPSite(runner, HOST, tls_port, backlog=4096, ssl_context=context).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
