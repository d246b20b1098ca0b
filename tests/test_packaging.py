"""What users get: the wheel, installed away from the checkout, run by twistd in the foreground and as a daemon."""

from __future__ import annotations

import http.client
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "apigw", "twisted")
PATIENCE = 30.0
"""Seconds for one step of another process."""

pytestmark = pytest.mark.timeout(60)

TWISTD = """\
#!{python}
from twisted.scripts.twistd import run
run()
"""

INI = """\
[gateway]
drain_timeout = 5s
access_log = {log}

[listener:public]
endpoint = tcp:0:interface=127.0.0.1

[service:user]
urls = http://127.0.0.1:{port}

[route:users]
path = /api/v1/users
service = user
strip_prefix = /api/v1
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What ``command`` printed; it must succeed, and sees nothing of the checkout."""
    done = subprocess.run(
        command, cwd=cwd, env=surroundings(), timeout=PATIENCE, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def surroundings() -> dict[str, str]:
    """The environment without what would lead to the checkout or configure the gateway."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves files in the tree that it builds from."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            shutil.copy(ROOT / name, copy)
    built = tmp_path_factory.mktemp("wheel")
    offline = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", built, copy, cwd=built)
    (made,) = built.iterdir()
    return made


@pytest.fixture(scope="module")
def twistd(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel installed, and lends all else from the one that runs this."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(lent) + "\n", "utf-8")
    offline = ("--quiet", "--no-deps", "--no-index", "--ignore-installed")
    run(python, "-m", "pip", "install", *offline, wheel, cwd=home)
    assert run(python, "-c", "import apigw; print(apigw.__file__)", cwd=home).startswith(str(site))
    twistd = home / "bin" / "twistd"
    twistd.write_text(TWISTD.format(python=python), "utf-8")
    twistd.chmod(0o755)
    return twistd


class Answer(BaseHTTPRequestHandler):
    """A service that says which path it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"service saw {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[int]:
    """The port of a service that is no part of the project."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def listens_on(log: str) -> int | None:
    """The port that the log names, once it does."""
    found = re.search(r"\[listener:public\].*\bport=(\d+)", log)
    return int(found[1]) if found else None


def ask(port: int) -> tuple[int, bytes]:
    """Status and body of one request through the gateway."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/api/v1/users/7?x=[1]")
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_wheel_holds_the_package_and_the_plugin_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "apigw").rglob("*.py")}
    package |= {str(path.relative_to(ROOT)) for path in (ROOT / "apigw/admin/dashboard").iterdir()}
    assert held == package | {"apigw/py.typed", "twisted/plugins/apigw_plugin.py"}
    assert b"\nRequires-Python: >=3.10\n" in metadata
    assert re.search(rb"\nRequires-Dist: twisted\[tls\]>=26\.10\n", metadata, re.IGNORECASE)


def test_twistd_knows_the_gateway(twistd: Path, tmp_path: Path) -> None:
    assert re.search(r"^ +apigw +\S", run(twistd, "--help", cwd=tmp_path), re.MULTILINE)


def test_twistd_runs_it_in_the_foreground(twistd: Path, tmp_path: Path, service: int) -> None:
    ini = tmp_path / "gw.ini"
    ini.write_text(INI.format(port=service, log="-"), "utf-8")
    command = [twistd, "-n", "--pidfile=", "apigw", "--config", ini]
    with subprocess.Popen(
        command, cwd=tmp_path, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as gateway:
        assert gateway.stdout is not None
        try:
            log = ""
            while (port := listens_on(log)) is None:
                line = gateway.stdout.readline()
                assert line, f"it ended:\n{log}"
                log += line
            assert ask(port) == (200, b"service saw /users/7?x=[1]")
            gateway.send_signal(signal.SIGTERM)
            rest, _ = gateway.communicate(timeout=PATIENCE)
        finally:
            gateway.kill()
    assert gateway.returncode == 0, log + rest
    assert '"status":200' in rest.replace(" ", "")
    assert "Traceback" not in log + rest


def test_twistd_runs_it_as_a_daemon(twistd: Path, tmp_path: Path, service: int) -> None:
    ini, log, pidfile = tmp_path / "gw.ini", tmp_path / "gateway.log", tmp_path / "gateway.pid"
    ini.write_text(INI.format(port=service, log=tmp_path / "access.log"), "utf-8")
    command = [twistd, f"--pidfile={pidfile}", f"--logfile={log}", "apigw", "--config", ini]
    lives, held = os.pipe()
    try:
        # The daemon keeps its end of the pipe open for as long as it lives.
        subprocess.run(
            command, cwd=tmp_path, env=surroundings(), pass_fds=[held], timeout=PATIENCE, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(held)
        pid = int(pidfile.read_text("ascii"))
        try:
            port = listens_on(log.read_text("utf-8"))
            assert port is not None, log.read_text("utf-8")
            assert ask(port) == (200, b"service saw /users/7?x=[1]")
        finally:
            os.kill(pid, signal.SIGTERM)
        ended, _, _ = select.select([lives], [], [], PATIENCE)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        assert ended, log.read_text("utf-8")
    finally:
        os.close(lives)
    assert not pidfile.exists()
    assert "Traceback" not in log.read_text("utf-8")
    assert '"status":200' in (tmp_path / "access.log").read_text("utf-8").replace(" ", "")
