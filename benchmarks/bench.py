"""A running bench: the upstream, the contenders before it, and the CPUs that each may use."""

import contextlib
import functools
import http.client
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

from benchmarks import upstream
from benchmarks.certificate import pem
from benchmarks.children import Children, children
from benchmarks.contender import HOST, Contender, Place, Running, free_port

READY_WITHIN = 20.0  # seconds
START_ATTEMPTS = 3  # a free port may be taken between its choice and its use


class StartError(Exception):
    """A server didn't start; the message ends with what it printed."""


@frozen
class Bench:
    """Starts servers that all end with the block of :func:`bench`."""

    directory: Path
    children: Children
    cpus: frozenset[int]

    def upstream(self) -> Running:
        """Start the service. :raises StartError: it didn't come up."""
        return self.launch("upstream", upstream.start, frozenset())

    def contender(self, contender: Contender, service: Running) -> Running:
        """Start a contender before ``service``. :raises StartError: no answer came through it."""
        return self.launch(contender.name, functools.partial(contender.start, upstream=service), self.cpus)

    def launch(self, name: str, start: Callable[[Place], Running], cpus: frozenset[int]) -> Running:
        """Start what ``start`` starts and wait until it answers. :raises StartError: it doesn't."""
        for _ in range(START_ATTEMPTS):
            directory = self.new_directory(name)
            certificate = directory / "bench.pem"
            certificate.write_text(pem())
            place = Place(directory, free_port(), free_port(), str(certificate), self.children, cpus)
            server = start(place)
            if self._answers(server):
                return server
        log = place.directory / "output.log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise StartError(f"{name} ended, or gave no answer within {READY_WITHIN:g} s\n{said}")

    def new_directory(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name.replace(" ", "-") + "-", dir=self.directory))

    def _answers(self, server: Running) -> bool:
        """Whether a small GET is answered with 200 before the time is over or the process ends."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline and not self.children.has_ended(server.pid):
            connection = http.client.HTTPConnection(HOST, server.port, timeout=READY_WITHIN)
            try:
                connection.request("GET", upstream.SMALL, headers=dict(server.headers))
                if connection.getresponse().status == 200:
                    return True
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        return False


def start_all(bench: Bench, contenders: Sequence[Contender], service: Running, notes: list[str]) -> dict[str, Running]:
    """Start ``contenders`` before ``service``; one that doesn't start becomes a note."""
    servers = {}
    for contender in contenders:
        try:
            servers[contender.name] = bench.contender(contender, service)
        except StartError as error:
            notes.append(str(error))
    return servers


@contextlib.contextmanager
def bench(cpus: frozenset[int]) -> Iterator[Bench]:
    """
    A bench whose files and processes are gone afterwards.

    :param cpus: the CPUs that contenders may use; the load and the upstream then keep to the others, if there
        are any. Empty for no rule at all.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if others := os.sched_getaffinity(0) - cpus:
        os.sched_setaffinity(0, others)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, children() as started:
        yield Bench(Path(directory), started, cpus)
