"""The cache of a real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGHUP
from threading import Event

from tests.wire.gateway import Gateway
from tests.wire.scripted import Question, Reply, fetch, scripted

INI = """\
[gateway]
access_log = off
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:{port}
retry.attempts = 1
[route:a]
path = /
service = a
cache = 60s
stale_if_error = 60s
compression = on
[route:write]
path = /
methods = POST
service = a
[route:off]
path = /off
service = a
"""


def status_of(answer) -> str:
    return answer.text("Cache-Status").removeprefix("apigw; ")


def test_answers_are_kept_validated_removed_and_counted(tmp_path: Path) -> None:
    failing = Event()

    def say(asked: Question) -> Reply:
        if failing.is_set():
            return Reply(503)
        if asked.target == "/checked":
            fields = {"Cache-Control": "no-cache", "ETag": '"v"'}
            if asked.fields.get("if-none-match") == '"v"':
                return Reply(304, b"", fields)
            return Reply(200, b"checked " * 500, {**fields, "Content-Type": "text/plain"})
        if asked.target == "/soon":
            return Reply(200, b"soon", {"Cache-Control": "max-age=0"})
        if asked.target == "/user":
            return Reply(200, asked.fields["authorization"].encode(), {"Cache-Control": "max-age=60"})
        return Reply(200, b"%d" % len(service.asked))

    with scripted(say) as service, Gateway(tmp_path, INI.format(port=service.port), listeners=2) as gateway:
        port = gateway.ports["public"]
        assert status_of(fetch(port, "/a")) == "fwd=uri-miss; stored"
        again = fetch(port, "/a")
        assert (again.body, again.text("Age")) == (b"1", "0")
        assert status_of(again).startswith("hit; ttl=")
        assert fetch(port, "/a", "HEAD").text("Content-Length") == "1"
        # What changes something, on another route.
        assert fetch(port, "/a", "POST").status == 200
        assert fetch(port, "/a").body == b"3"
        # Both sides of validation, with a coding on top.
        first = fetch(port, "/checked", Accept_Encoding="gzip")
        assert first.text("ETag") == 'W/"v"'
        second = fetch(port, "/checked", Accept_Encoding="gzip", If_None_Match='W/"v"')
        assert (second.status, second.body, second.text("ETag")) == (304, b"", 'W/"v"')
        assert status_of(second) == "fwd=stale; fwd-status=304; stored"
        assert fetch(port, "/checked").body == b"checked " * 500
        # Nobody gets what is another's.
        assert fetch(port, "/user", Authorization="Bearer ann").body == b"Bearer ann"
        assert fetch(port, "/user", Authorization="Bearer bob").body == b"Bearer bob"
        # A route without.
        assert not fetch(port, "/off").all(b"cache-status")
        assert fetch(port, "/off").body != fetch(port, "/off").body
        # Old answers stand for errors, and a reload keeps what there is.
        fetch(port, "/soon")
        failing.set()
        old = fetch(port, "/soon")
        assert (old.status, old.body, status_of(old)) == (200, b"soon", "fwd=stale; fwd-status=503")
        gateway.signal(SIGHUP)
        gateway.wait(lambda: any("reloaded in" in line for line in gateway.output))
        assert fetch(port, "/a").body == b"3"
        metrics = fetch(gateway.ports["admin"], "/metrics", Host="localhost").body.decode()
        assert 'apigw_cache_requests_total{http_route="a",result="revalidated"} 2' in metrics
        assert "apigw_cache_answers 3" in metrics
        assert gateway.troubles() == []


def test_operators_purge(tmp_path: Path) -> None:
    with scripted(lambda asked: Reply(200, b"x" * 100)) as service:
        ini = INI.format(port=service.port).replace("[gateway]", "[gateway]\nworkers = 2", 1)
        assert "workers = 2" in ini
        with Gateway(tmp_path, ini, listeners=2) as gateway:
            port = gateway.ports["public"]
            admin = f"http://127.0.0.1:{gateway.ports['admin']}"

            def purge(*words: str) -> str:
                command = [sys.executable, "-m", "apigw", "purge", *words, "--admin", admin]
                return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()

            def fill() -> None:
                for path in ("/a", "/a/1", "/b?x=1"):
                    while not status_of(fetch(port, path)).startswith("hit"):
                        pass

            fill()
            held = json.loads(fetch(gateway.ports["admin"], "/api/cache", Host="localhost").body)
            assert held["answers"] >= 3
            assert held["bytes"] > 300
            assert sum(route["results"]["hit"] for route in held["requests"]) >= 3
            assert purge("/b?x=1") in ("1 answers purged", "2 answers purged")
            assert int(purge("http://h/a", "--prefix").split()[0]) >= 2
            fill()
            assert purge("http://elsewhere/a", "--prefix") == "0 answers purged"
            assert int(purge("--route", "a").split()[0]) >= 3
            fill()
            assert int(purge("--all").split()[0]) >= 3
            assert json.loads(fetch(gateway.ports["admin"], "/api/cache", Host="localhost").body)["answers"] == 0


def test_a_hundred_at_once_are_one_for_the_service(tmp_path: Path) -> None:
    go, first = Event(), Event()

    def say(asked: Question) -> Reply:
        first.set()
        go.wait(10)
        return Reply(200, b"x" * 100_000)

    with (
        scripted(say) as service,
        Gateway(tmp_path, INI.format(port=service.port), listeners=2) as gateway,
        ThreadPoolExecutor(100) as threads,
    ):
        port = gateway.ports["public"]
        waiting = [threads.submit(fetch, port, "/a") for _ in range(100)]
        assert first.wait(10)
        go.set()
        assert {one.result().body for one in waiting} == {b"x" * 100_000}
        assert len(service.asked) == 1
