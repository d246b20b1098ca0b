"""A real Prometheus server, with the configuration that comes with the gateway."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy, which
from threading import Thread
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from tests.wire.gateway import BOUND

HERE = Path(__file__).parent.parent.parent / "etc/prometheus"

_LISTENS = re.compile(r'msg="Listening on" address=127\.0\.0\.1:([0-9]+)')


def program(name: str) -> str:
    found = which(name)
    assert found is not None, f"these tests need {name}: apt install prometheus"
    return found


def installed(directory: Path, token: str) -> Path:
    """The files as an operator has them. :return: the main one."""
    for file in HERE.iterdir():
        copy(file, directory)
    (directory / "apigw-token").write_text(token, "utf-8")
    return directory / "prometheus.yml"


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str) -> Any:
        with urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}", timeout=BOUND) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """What it says now."""
        found: list[Any] = self.ask(f"query?query={quote(expression)}")["result"]
        return found

    def wait(self, expression: str) -> None:
        """Until something comes of it."""
        until = monotonic() + BOUND
        while not self.query(expression):
            assert monotonic() < until, f"{expression} has no result"
            sleep(0.05)


@contextmanager
def prometheus(directory: Path, target: int, token: str) -> Iterator[Prometheus]:
    """:param target: port of the admin listener. Scraped is five times a second, not four times a minute."""
    file = installed(directory, token)
    text = file.read_text("utf-8").replace("127.0.0.1:9900", f"127.0.0.1:{target}").replace("15s", "200ms")
    file.write_text(text, "utf-8")
    ports: list[int] = []
    arguments = [
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    process = subprocess.Popen(
        [program("prometheus"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line.decode())
            found = _LISTENS.search(output[-1])
            if found:
                ports.append(int(found[1]))

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        until = monotonic() + BOUND
        while not (ports and any("Server is ready" in line for line in output)):
            assert process.poll() is None and monotonic() < until, "".join(output)
            sleep(0.02)
        yield Prometheus(ports[0])
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()
