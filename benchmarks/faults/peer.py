"""A service as a process, which fails as it was told last: ``python -m benchmarks.faults.peer ADDRESS PORT``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

BODY = b"served\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
SLOW = 3.0  # seconds
MODE = "/mode/"
"""Requests for this and a mode set it."""

Mode = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def ok(writer: asyncio.StreamWriter) -> None:
    writer.write(ANSWER)
    await writer.drain()


async def slow(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(SLOW)
    await ok(writer)


async def reset(writer: asyncio.StreamWriter) -> None:
    # A reset, not an end: that is what a crash looks like from outside.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x00 this is no HTTP \xff\r\n" * 64)
    await writer.drain()


async def head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: %s\r\n" % (b"m" * 1000) * 8)
        await writer.drain()


async def body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n%s\r\n" % bytes(65536))
        await writer.drain()


MODES: dict[str, Mode] = {one.__name__: one for one in (ok, slow, reset, garbage, head, body)}


class Service:
    """
    Answers any request as its mode wants.

    :ivar mode: of the requests to come.
    """

    def __init__(self) -> None:
        self.mode: Mode = ok

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1].decode()
                mode = self.mode
                if path.startswith(MODE):
                    self.mode = MODES[path.removeprefix(MODE)]
                    mode = ok
                await mode(writer)
                if writer.transport.is_closing():
                    break
        writer.close()


async def main(address: str, port: int) -> None:
    server = await asyncio.start_server(Service().serve, address, port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
