"""Limits in Redis, by two gateways: exact together, over TLS too, and never late when Redis crashes under load."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from attrs import frozen

from apigw.redis.client import DEADLINE
from tests.authority import Authority
from tests.redis.server import RedisServer, free_port
from tests.wire.gateway import Gateway
from tests.wire.sockets import connect

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:1
breaker.volume = 1000000
retry.attempts = 1
maintenance = no
[route:one]
path = /one
service = user
limit.route = {limit}
[route:two]
path = /two
service = user
[limits]
ip = off
store = redis
redis_url_env = REDIS_URL
{more}
"""


@frozen
class Asked:
    """:ivar begun: monotonic seconds. :ivar took: seconds."""

    status: int
    begun: float
    took: float

    @property
    def ended(self) -> float:
        return self.begun + self.took


def asked(port: int, path: str = "/one") -> Asked:
    wire = connect(port)
    begun = monotonic()
    wire.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
    status = wire.answer().status
    took = monotonic() - begun
    wire.close()
    return Asked(status, begun, took)


def late(answers: list[Asked], others: list[Asked]) -> list[Asked]:
    """
    Those that took 50 ms longer than others did that were under way at about the same time.

    :param others: of the same gateway, one after the other, that have nothing to do with Redis: where the machine
        keeps the gateway or its clients waiting, they wait too.
    """
    found = []
    for answer in answers:
        if answer.took >= 0.05:
            first, last = answer.begun - 0.25, answer.ended + 0.25
            meanwhile = [other.took for other in others if other.begun < last and other.ended > first]
            if answer.took >= 0.05 + 2.0 * max(meanwhile, default=0.0):
                found.append(answer)
    return found


def start(directory: Path, name: str, limit: str, url: str, more: str = "") -> Gateway:
    (directory / name).mkdir()
    gateway = Gateway(directory / name, INI.format(limit=limit, more=more), environ={"REDIS_URL": url}, listeners=2)
    gateway.wait(lambda: any("answers" in line for line in gateway.output))
    return gateway


def admitted(gateways: list[Gateway], count: int) -> int:
    with ThreadPoolExecutor(8) as threads:
        ports = [gateway.port for gateway in gateways] * (count // len(gateways))
        statuses = [answer.status for answer in threads.map(asked, ports)]
    assert set(statuses) <= {502, 503, 429}
    return len(statuses) - statuses.count(429)


def test_two_gateways_admit_exactly_the_limit_together(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    url = f"redis://127.0.0.1:{server.port}"
    try:
        with start(tmp_path, "a", "77/h", url) as one, start(tmp_path, "b", "77/h", url) as two:
            assert admitted([one, two], 200) == 77
    finally:
        server.kill()


def test_over_tls_and_only_with_a_server_that_can_be_trusted(tmp_path: Path) -> None:
    authority = Authority("test")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "other.pem").write_bytes(Authority("other").pem)
    (tmp_path / "redis.pem").write_bytes(authority.issue("localhost"))
    port = free_port()
    server = RedisServer(
        tmp_path,
        ("tls-port", str(port)),
        ("tls-cert-file", str(tmp_path / "redis.pem")),
        ("tls-key-file", str(tmp_path / "redis.pem")),
        ("tls-ca-cert-file", str(tmp_path / "ca.pem")),
        ("tls-auth-clients", "no"),
        port=port,
    )
    server.start()
    url = f"rediss://localhost:{server.port}"
    try:
        with start(tmp_path, "a", "3/h", url, f"redis_ca = {tmp_path}/ca.pem") as gateway:
            assert admitted([gateway], 6) == 3
        (tmp_path / "b").mkdir()
        config = INI.format(limit="3/h", more=f"redis_ca = {tmp_path}/other.pem")
        with Gateway(tmp_path / "b", config, environ={"REDIS_URL": url}, listeners=2) as gateway:
            gateway.wait(lambda: any("is left alone" in line for line in gateway.output))
            assert admitted([gateway], 6) == 3, "by itself"
    finally:
        server.kill()


@pytest.mark.parametrize("how", ["crash", "hang"])
def test_redis_may_fail_and_come_back_under_load(tmp_path: Path, how: str) -> None:
    server = RedisServer(tmp_path)
    server.start()
    url = f"redis://127.0.0.1:{server.port}"
    limit = 300
    try:
        with start(tmp_path, "a", f"{limit}/h", url) as one, start(tmp_path, "b", f"{limit}/h", url) as two:
            one.wait(lambda: True)
            for gateway in (one, two):
                gateway.wait(lambda g=gateway: any("shared by 2 gateways" in line for line in g.output))
            answers: dict[int, list[Asked]] = {one.port: [], two.port: []}
            others: dict[int, list[Asked]] = {one.port: [], two.port: []}
            over = Event()

            def load(port: int, path: str, found: list[Asked]) -> None:
                while not over.is_set():
                    found.append(asked(port, path))

            def count() -> int:
                return sum(map(len, answers.values()))

            def served() -> int:
                return sum(answer.status != 429 for found in answers.values() for answer in found)

            with ThreadPoolExecutor(4) as threads:
                clients = [threads.submit(load, port, "/one", found) for port, found in answers.items()]
                clients += [threads.submit(load, port, "/two", found) for port, found in others.items()]
                try:
                    until(lambda: served() >= limit // 3)
                    server.kill() if how == "crash" else server.hang()
                    until(lambda: served() >= limit * 2 // 3)
                    server.start() if how == "crash" else server.go_on()
                    for gateway in (one, two):
                        gateway.wait(lambda g=gateway: sum("answers" in line for line in g.output) >= 2)
                    seen = count()
                    until(lambda: count() > seen + 200)
                finally:
                    over.set()
                for client in clients:
                    client.result()
            assert {answer.status for found in answers.values() for answer in found} <= {502, 503, 429}
            # Where the machine keeps all waiting for longer than a gateway waits for Redis, more is counted apart.
            choking = max(other.took for found in others.values() for other in found) > DEADLINE
            assert served() == pytest.approx(limit, rel=0.3 if choking else 0.1)
            assert [late(answers[port], others[port]) for port in answers] == [[], []]
            assert not one.troubles()
            until(lambda: scrape(one.ports["admin"])["apigw_redis_instances"] == 2.0)  # by their signs of life
            told = scrape(one.ports["admin"])
            assert told["apigw_redis_up"] == 1.0
            assert told["apigw_redis_fallbacks_total"] > 0.0
    finally:
        server.kill()


def scrape(port: int) -> dict[str, float]:
    """Samples without labels."""
    wire = connect(port)
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    lines = wire.answer().body.decode().splitlines()
    wire.close()
    pairs = [line.split(" ") for line in lines if not line.startswith("#") and "{" not in line]
    return {name: float(value) for name, value in pairs}


def until(condition: Callable[[], object]) -> None:
    end = monotonic() + 20
    while not condition():
        assert monotonic() < end, "waited in vain"
        Event().wait(0.002)
