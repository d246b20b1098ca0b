"""What a contender is: a proxy that can be started on loopback in front of a given upstream."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from benchmarks.children import Children

HOST = "127.0.0.1"
Headers = tuple[tuple[str, str], ...]
VERSION = re.compile(r"[0-9]+(\.[0-9]+)+")


def free_port() -> int:
    """A port of the loopback address that the kernel chose and that is free right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@frozen
class Running:
    """
    A server that runs: the root of its process tree, and where it listens on 127.0.0.1.

    ``tls_port`` is 0 where nothing speaks TLS. ``headers`` are those that each request must have to be let in, and
    ``users`` the same of several users, where that matters.
    """

    pid: int
    port: int
    tls_port: int = 0
    headers: Headers = ()
    users: tuple[Headers, ...] = ()


@frozen
class Place:
    """
    Where a server runs: a directory of its own, the ports of 127.0.0.1 to listen on, plainly and with TLS, and
    the PEM file with the certificate and the key for that.
    """

    directory: Path
    port: int
    tls_port: int
    certificate: str
    children: Children
    cpus: frozenset[int] = frozenset()

    def write(self, name: str, text: str) -> str:
        """Write a file into the directory and give its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def spawn(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Running:
        """Start ``argv``, which will listen on its ports; its output goes to a file in the directory."""
        pid = self.children.spawn(argv, log=self.directory / "output.log", env=env, cpus=self.cpus)
        return Running(pid, self.port, self.tls_port)


class Start(Protocol):
    """Starts a server that forwards everything to ``upstream``."""

    def __call__(self, place: Place, upstream: Running) -> Running: ...


@frozen
class Contender:
    """
    One row of every table.

    ``missing`` names what this machine lacks to run it, ``""`` for nothing; ``version`` is asked only when
    nothing is missing. ``start`` makes it forward all to the given upstream and returns at once: the caller
    waits until the port answers. ``streams`` is false for what keeps whole bodies in memory or isn't a proxy,
    and is left out where a gigabyte is sent through. ``http2`` says that it speaks HTTP/2 over TLS.
    """

    name: str
    start: Start
    version: Callable[[], str]
    missing: Callable[[], str]
    streams: bool = True
    http2: bool = False


def program_missing(name: str) -> Callable[[], str]:
    """A ``missing`` for a contender that is one program on the PATH."""
    return lambda: "" if shutil.which(name) else f"no {name} on the PATH"


def version_of(*argv: str) -> Callable[[], str]:
    """A ``version`` that is the first version number that ``argv`` prints, on stdout or stderr."""

    def ask() -> str:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
        number = VERSION.search(ran.stdout + ran.stderr)
        return number[0] if number else "unknown"

    return ask
