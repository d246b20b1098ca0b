"""A real Redis server of a test's own."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from shutil import which
from time import monotonic

BOUND = 10.0
"""Seconds until it must answer."""


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RedisServer:
    """
    Runs from :meth:`start` on, at one and the same port, and without a disk: whatever restarts has forgotten all.

    :param options: of its configuration, such as ``("maxmemory", "1mb")``.
    :param sentinel: it is a Sentinel.
    """

    def __init__(
        self, directory: Path, *options: tuple[str, str], port: int | None = None, sentinel: bool = False
    ) -> None:
        program = which("redis-server")
        assert program is not None, "these tests need redis-server: apt install redis-server"
        self._program = program
        self._sentinel = sentinel
        self.port = port or free_port()
        self._config = directory / f"redis-{self.port}.conf"
        plain = any(name == "tls-port" for name, _ in options)
        lines = {"bind": "127.0.0.1", "port": "0" if plain else str(self.port), "dir": str(directory)}
        if not sentinel:
            lines |= {"save": '""', "appendonly": "no", "enable-debug-command": "yes"}
        self._config.write_text(
            "".join(f"{name} {value}\n" for name, value in [*lines.items(), *options]), encoding="utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Wait until it takes connections."""
        arguments = ["--sentinel"] if self._sentinel else []
        self._process = subprocess.Popen(
            [self._program, str(self._config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        until = monotonic() + BOUND
        while True:
            assert self._process.poll() is None, "redis-server doesn't start"
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert monotonic() < until, "redis-server takes no connections"

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Let it answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """One command without spaces in it; :return: the beginning of the reply, as on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), BOUND) as sock:
            sock.settimeout(BOUND)
            sock.sendall(" ".join(words).encode() + b"\r\n")
            return sock.recv(65536)
