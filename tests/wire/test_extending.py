"""Stages from elsewhere, in a real gateway."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.examples import ini_examples
from tests.wire.gateway import Gateway, run
from tests.wire.scripted import Reply, fetch, scripted
from tests.wire.sockets import connect

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "tenants.py"

FAULTY = '''
from twisted.internet import reactor
from twisted.internet.task import deferLater
from apigw.extension import Stage, answer

class Faulty(Stage):
    """Fails where the path tells it to."""

    def __init__(self, name="stage"):
        self.name = name

    def start(self, reactor):
        print(f"{self.name} starts", flush=True)

    def stop(self):
        print(f"{self.name} stops", flush=True)

    def fails(self, exchange, where):
        if where in exchange.request.path:
            raise RuntimeError("of the stage's own")

    async def request(self, exchange):
        self.fails(exchange, b"request")
        if exchange.request.path == b"/itself":
            return answer(203, b"by itself")
        await deferLater(reactor, 0)

    def response(self, exchange, response):
        self.fails(exchange, b"response")
        response.fields.append((b"X-Seen", b"yes"))

    def done(self, exchange):
        self.fails(exchange, b"done")
'''


@pytest.fixture
def service():
    with scripted(lambda asked: Reply(200, asked.target.encode())) as service:
        yield service


def test_the_example_does_what_it_says(tmp_path: Path, service) -> None:
    [ini] = ini_examples("extending.md")
    ini = ini.replace("tcp:8080", "tcp:0:interface=127.0.0.1").replace("3001", str(service.port))
    ini = ini.replace("/etc/apigw/shops.json", str(tmp_path / "shops.json")).replace("most = 20", "most = 1")
    (tmp_path / "shops.json").write_text('{"apples": "Apples & Co"}')
    shutil.copy(EXAMPLE, tmp_path)
    with Gateway(tmp_path, ini, environ={"PYTHONPATH": str(tmp_path)}) as gateway:
        answer = fetch(gateway.port, "/a", Host="apples.shops.test", X_Shop="forged")
        assert (answer.status, answer.text("X-Shop-Busy")) == (200, "1")
        assert service.asked[-1].fields["x-shop"] == "Apples & Co"

        refused = fetch(gateway.port, "/a", Host="pears.shops.test")
        told = json.loads(refused.body)
        assert (refused.status, told["code"], told["title"]) == (404, "no-such-shop", "There is no such shop")
        assert len(service.asked) == 1

        # One that waits for its body's end holds the only place, and gives it back when it goes.
        held = connect(gateway.port)
        held.send(b"POST /b HTTP/1.1\r\nHost: apples.shops.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nab")
        held.until(b"100 Continue\r\n\r\n")
        busy = fetch(gateway.port, "/a", Host="apples.shops.test")
        assert (busy.status, json.loads(busy.body)["code"], busy.text("Retry-After")) == (503, "shop-busy", "1")
        held.send(b"cde")
        assert held.answer(b"POST").status == 200
        held.close()
        assert fetch(gateway.port, "/a", Host="apples.shops.test").status == 200


def ini_of(service, name: str = "first") -> str:
    return f"""\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:a]
urls = http://127.0.0.1:{service.port}
[stage:faulty]
use = faulty:Faulty
name = {name}
[route:a]
path = /
service = a
stages = faulty
limit.route = 1000/m
"""


def test_faults_of_a_stage_harm_one_request_alone(tmp_path: Path, service) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    with Gateway(tmp_path, ini_of(service), environ={"PYTHONPATH": str(tmp_path)}) as gateway:
        wire = connect(gateway.port)
        for path, status, seen in [
            (b"/plain", 200, ["yes"]),
            (b"/itself", 203, ["yes"]),
            (b"/request", 500, ["yes"]),
            (b"/response", 500, []),
            (b"/done", 200, ["yes"]),
            (b"/plain", 200, ["yes"]),
        ]:
            wire.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
            answer = wire.answer(b"GET")
            assert (path, answer.status, [one.decode() for one in answer.all(b"X-Seen")]) == (path, status, seen)
            assert b"of the stage" not in answer.body
        wire.close()
        gateway.wait(lambda: sum("RuntimeError: of the stage's own" in line for line in gateway.output) == 4)
        gateway.output.clear()  # it ends well in spite of them


def test_a_stage_lives_as_long_as_its_section(tmp_path: Path, service) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)

    def told(line: str) -> bool:
        return any(line in one for one in gateway.output)

    with Gateway(tmp_path, ini_of(service), environ={"PYTHONPATH": str(tmp_path)}) as gateway:
        gateway.wait(lambda: told("first starts"))
        ini = gateway.directory / "gw.ini"
        ini.write_text(ini_of(service).replace("1000/m", "900/m"))
        gateway.signal(SIGHUP)
        gateway.wait(lambda: told("reloaded in"))
        assert not told("first stops")
        ini.write_text(ini_of(service, "second"))
        gateway.signal(SIGHUP)
        gateway.wait(lambda: told("second starts") and told("first stops"))
        assert fetch(gateway.port, "/plain").status == 200


def test_what_is_no_stage_is_told_at_the_start(tmp_path: Path, service) -> None:
    (tmp_path / "faulty.py").write_text("def Faulty(name): return 7")
    (tmp_path / "gw.ini").write_text(ini_of(service))
    ended = run("-n", "--pidfile=", "apigw", "--config", "gw.ini", cwd=tmp_path, environ={"PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 1
    assert "[stage:faulty] use: faulty:Faulty makes a int, let it make an apigw.extension.Stage" in ended.stderr
    (tmp_path / "faulty.py").write_text("import nothing_of_that_name")
    ended = run("-n", "apigw", "--config", "gw.ini", "--check", cwd=tmp_path, environ={"PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 1
    assert "gw.ini:6: [stage:faulty] use: faulty can't be imported (ModuleNotFoundError" in ended.stderr
