"""The real gateway: ``twistd apigw`` as a process of its own, with what it writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import Any

TWISTD = Path(sys.executable).with_name("twistd")

BOUND = 10.0
"""Seconds that anything may take which should take no time, on a machine that is busy with other things."""

_LISTENS = re.compile(r"\[(?:listener:)?([^]]+)\] IPv4Address\(.*port=([0-9]+)\)")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a gateway finds in its environment: of this process only what a program needs to run."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "COVERAGE_FILE")
        if name in os.environ
    }
    return kept | dict(more or {})


def run(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """
    ``twistd`` with ``arguments``, up to its end.

    :param through: a program that runs it, and the arguments of that.
    """
    return subprocess.run(
        [*through, TWISTD, *arguments],
        cwd=cwd,
        env=environment(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


class Gateway:
    """
    Runs from ``with`` on; waits until it listens.

    :param config: the text of its INI file; None for the environment alone.
    :param listeners: how many listeners to wait for.
    :param descriptors: open ones that it gets, by the same numbers.
    :param program: what runs it.

    :ivar ports: of its listeners, by name.
    :ivar output: lines that it wrote, but for those of the access log.
    :ivar logged: the lines of the access log that it wrote to standard output, in order.
    """

    def __init__(
        self,
        directory: Path,
        config: str | None,
        *,
        environ: Mapping[str, str] | None = None,
        listeners: int = 1,
        descriptors: Sequence[int] = (),
        program: Sequence[str | Path] = (TWISTD,),
    ) -> None:
        self.directory = directory
        arguments = ["-n", "--pidfile=", "apigw"]
        if config is not None:
            (directory / "gw.ini").write_text(config, encoding="utf-8")
            arguments += ["--config", "gw.ini"]
        self.ports: dict[str, int] = {}
        self.output: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self._changed = Condition()
        self._ended = False
        self._killed = False
        self._process = subprocess.Popen(
            [*program, *arguments],
            cwd=directory,
            env=environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=descriptors,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait(lambda: len(self.ports) >= listeners or self._ended)
            assert len(self.ports) >= listeners, "\n".join(self.output)
        except BaseException:
            self._process.kill()
            self._reap()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                if line.startswith('{"time":') and '"namespace":' not in line:
                    self.logged.append(json.loads(line))
                else:
                    self.output.append(line.rstrip("\n"))
                    found = _LISTENS.search(line)
                    if found:
                        self.ports[found[1]] = int(found[2])
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def port(self) -> int:
        """Of the first listener."""
        return next(iter(self.ports.values()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, until: Callable[[], object]) -> None:
        """Wait for something that follows from what the gateway writes."""
        with self._changed:
            assert self._changed.wait_for(until, BOUND), "\n".join(["waited in vain for the output:", *self.output])

    def line(self, request_id: str) -> dict[str, Any]:
        """The one line of the access log for a request; waits for it."""
        self.wait(lambda: any(line["request_id"] == request_id for line in self.logged))
        [line] = [line for line in self.logged if line["request_id"] == request_id]
        return line

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        return self._memory("VmRSS")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Let :meth:`peak` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", "ascii")

    def peak(self) -> int:
        """Bytes of memory that it has held at most."""
        return self._memory("VmHWM")

    def troubles(self) -> list[str]:
        """Lines of its log that no request may cause."""
        signs = ("Traceback", "Unhandled", "#critical", "#error", "Error:", "Warning", "Starting factory")
        return [line for line in self.output if any(sign in line for sign in signs)]

    def ends(self) -> int:
        """Wait for the end of the process. :return: its exit status."""
        started = monotonic()
        status = self._process.wait(BOUND)
        self._reader.join(max(0.0, BOUND - (monotonic() - started)))
        return status

    def kill(self) -> None:
        """End it as a crash would: at once, and nothing of it is told."""
        self._process.kill()
        self._process.wait()
        self._killed = True

    def stop(self) -> None:
        """End it as an operator would, and see that it ends well."""
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.ends()
        finally:
            self._reap()
        assert not self.troubles(), "\n".join(self.output)
        assert status == 0, "\n".join([f"exit status {status}", *self.output])

    def _reap(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._killed:
            self.stop()
        else:
            self._reap()
