"""Idempotency keys at real gateways: by themselves, as workers of a machine, and with Redis; killed, too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from apigw.config.loader import loads
from apigw.state.shared import SharedMemory
from tests.examples import ini_examples
from tests.redis.server import RedisServer
from tests.wire.gateway import Gateway
from tests.wire.sockets import Cut, Message, Service, connect

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
[route:one]
path = /
service = user
idempotency = 1h
{more}
"""
REDIS = "[limits]\nip = off\nuser = off\nstore = redis\nredis_url_env = REDIS_URL\n"


class Slow:
    """A service that answers when it is let. :ivar asked: how often it was."""

    def __init__(self) -> None:
        self.service = Service()
        self.asked = 0
        self.first = Event()
        self.go = Event()
        self._over = False
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                there = self.service.accept()
            except OSError:
                continue
            if self._over:
                there.close()
                return
            Thread(target=self._answer, args=(there,), daemon=True).start()

    def _answer(self, there) -> None:
        try:
            while True:
                there.request()
                self.asked += 1
                body = b"%d" % self.asked
                self.first.set()
                self.go.wait(30)
                there.send(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (Cut, OSError):
            there.close()

    def close(self) -> None:
        self.go.set()
        self._over = True
        connect(self.service.port).close()
        self._thread.join()
        self.service.close()


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.close()


def asked(port: int, key: str = "k") -> Message | None:
    """:return: None where the gateway broke off."""
    try:
        wire = connect(port)
    except OSError:
        return None
    wire.socket.settimeout(20)
    try:
        wire.send(f"POST /pay HTTP/1.1\r\nHost: h\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\nhi".encode())
        return wire.answer()
    except (Cut, OSError):
        return None
    finally:
        wire.close()


def served(answers: list[Message | None]) -> set[tuple[int, bytes]]:
    return {(answer.status, answer.body) for answer in answers if answer is not None}


@pytest.fixture(params=["shared memory", "redis"])
def two(request: pytest.FixtureRequest, tmp_path: Path, slow: Slow) -> Iterator[list[Gateway]]:
    """Gateways that have to do with each other."""
    with ExitStack() as held:
        started = []
        server = made = None
        if request.param == "redis":
            server = RedisServer(tmp_path)
            server.start()
            held.callback(server.kill)
        else:
            made = SharedMemory.create(1000, 2)
            held.callback(made.close)
        for number, name in enumerate("ab"):
            directory = tmp_path / name
            directory.mkdir()
            config = INI.format(port=slow.service.port, more=REDIS if server else "")
            if server is not None:
                environ = {"REDIS_URL": f"redis://127.0.0.1:{server.port}"}
                gateway = held.enter_context(Gateway(directory, config, environ=environ))
                gateway.wait(lambda g=gateway: any("answers" in line for line in g.output))
            else:
                assert made is not None
                gateway = held.enter_context(
                    Gateway(directory, config, environ=made.environment(number), descriptors=made.descriptors)
                )
            started.append(gateway)
        yield started


def test_a_hundred_at_once_are_one_for_the_service(tmp_path: Path, slow: Slow) -> None:
    with (
        Gateway(tmp_path, INI.format(port=slow.service.port, more="")) as gateway,
        ThreadPoolExecutor(100) as threads,
    ):
        waiting = [threads.submit(asked, gateway.port) for _ in range(100)]
        assert slow.first.wait(10)
        slow.go.set()
        answers = [one.result() for one in waiting]
    assert served(answers) == {(201, b"1")}
    assert sum(answer is not None and not answer.all(b"idempotency-replayed") for answer in answers) == 1
    assert slow.asked == 1


def test_a_hundred_at_two_gateways_are_one_for_the_service_and_one_gateway_may_be_killed(
    two: list[Gateway], slow: Slow
) -> None:
    with ThreadPoolExecutor(100) as threads:
        one = threads.submit(asked, two[0].port)
        assert slow.first.wait(10)
        waiting = [threads.submit(asked, gateway.port) for gateway in two * 50]
        two[1].kill()
        slow.go.set()
        answers = [one.result(), *[other.result() for other in waiting]]
    assert sum(answer is not None for answer in answers) >= 51
    assert served(answers) == {(201, b"1")}
    assert slow.asked == 1


def test_an_answer_outlives_the_gateway_that_gave_it(two: list[Gateway], slow: Slow) -> None:
    slow.go.set()
    assert asked(two[0].port) is not None
    two[0].kill()
    answer = asked(two[1].port)
    assert answer is not None
    assert (answer.status, answer.body, answer.one(b"idempotency-replayed")) == (201, b"1", b"true")
    assert slow.asked == 1


@pytest.mark.parametrize("two", ["redis"], indirect=True)
def test_a_claim_frees_itself_when_its_gateway_dies(two: list[Gateway], slow: Slow) -> None:
    with ThreadPoolExecutor(20) as threads:
        lost = threads.submit(asked, two[0].port)
        assert slow.first.wait(10)
        waiting = [threads.submit(asked, two[1].port) for _ in range(10)]
        two[0].kill()
        assert lost.result() is None
        slow.go.set()
        answers = [one.result() for one in waiting]
    assert served(answers) == {(201, b"2")}
    assert slow.asked == 2, "once by each gateway: what the first one was told died with it"


def test_the_example_is_right() -> None:
    for example in ini_examples("stages/idempotency.md"):
        [route] = loads(example, "f", {}).routes
        assert route.idempotency == 86400.0
