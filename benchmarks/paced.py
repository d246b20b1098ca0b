"""A client that sends small GETs at a steady rate and doesn't wait for answers to do so."""

import asyncio
import gc
import selectors
import time
from collections import deque

from benchmarks import wire
from benchmarks.contender import HOST, Running
from benchmarks.upstream import SMALL

CONNECTIONS = 32
PATIENCE = 10.0  # seconds that the last answers may take


def latencies(server: Running, rate: float, count: int) -> list[float]:
    """
    Seconds from when each of ``count`` requests was due, ``rate`` of them a second, to the end of its answer.

    :raises AnswerError: an answer wasn't a whole 200, or a connection was lost.
    :raises TimeoutError: the last answers didn't come.
    """
    # epoll rounds time-outs up to whole milliseconds, select doesn't.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    gc.collect()
    gc.disable()
    try:
        return loop.run_until_complete(_run(server, rate, count))
    except asyncio.TimeoutError:
        raise TimeoutError(f"the last answers took more than {PATIENCE:g} s") from None
    finally:
        gc.enable()
        loop.close()


async def _run(server: Running, rate: float, count: int) -> list[float]:
    return await _Client(server, rate, count).run()


class _Connection(asyncio.Protocol):
    """One kept connection: one request at a time, due at :attr:`due`."""

    def __init__(self, client: "_Client") -> None:
        self.due = 0.0
        self._client = client
        self._data = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client.free.append(self)

    def send(self, due: float) -> None:
        self.due = due
        self._transport.write(self._client.request)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            length = wire.answer_length(self._data)
        except wire.AnswerError as error:
            self._client.fail(error)
            return
        if length is not None and len(self._data) >= length:
            self._data.clear()
            self._client.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.fail(wire.AnswerError("a connection was lost"))


class _Client:
    """Sends what is due over whatever connection is free, and keeps what each answer took."""

    def __init__(self, server: Running, rate: float, count: int) -> None:
        self.request = wire.request("GET", SMALL, server.headers)
        self.free: deque[_Connection] = deque()
        self.taken: list[float] = []
        self._port, self._rate, self._count = server.port, rate, count
        self._waiting: deque[float] = deque()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> list[float]:
        """The seconds that each of ``count`` requests took. :raises AnswerError: one failed."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: _Connection(self), HOST, self._port)
        connections = list(self.free)
        try:
            for connection in connections:  # the first request over each isn't counted
                connection.send(0.0)
            self.free.clear()
            while len(self.free) < CONNECTIONS and not self._done.done():
                await asyncio.sleep(0.001)
            self.taken.clear()
            start = time.perf_counter()
            for number in range(self._count):
                due = start + number / self._rate
                await asyncio.sleep(due - time.perf_counter())
                self._send(due)
            await asyncio.wait_for(self._done, PATIENCE)
        finally:
            for connection in connections:
                connection.close()
        return self.taken

    def answered(self, connection: _Connection) -> None:
        self.taken.append(time.perf_counter() - connection.due)
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self.free.append(connection)
        if len(self.taken) == self._count:
            self._done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _send(self, due: float) -> None:
        if self._done.done():
            self._done.result()
        if self.free:
            self.free.popleft().send(due)
        else:
            self._waiting.append(due)
