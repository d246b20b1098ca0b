"""Faults of the gateway's own processes and of what it is given by the machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from benchmarks import procfs
from benchmarks.certificate import pem
from benchmarks.faults.load import REFUSED
from benchmarks.faults.scene import CALM, STARTS_WITHIN, Gateway, Scene, SceneError, Watch, get, until

BUSY = 0.9  # CPU seconds a second that would be spinning
DESCRIPTORS = 256


def worker_killed(scene: Scene) -> Watch:
    gateway = _two(scene)
    with scene.watched(gateway) as watch:
        victim = _ready(gateway)[0]
        os.kill(victim, signal.SIGKILL)
        time.sleep(scene.seconds)
        watch.over(lambda: len(_ready(gateway)) == 2 and victim not in _ready(gateway))
    return watch


def supervisor_killed(scene: Scene) -> Watch:
    """Normal is that nothing is left: what nobody accepts any more is none of the lost."""
    gateway = _two(scene)
    with scene.watched(gateway) as watch:
        pids = gateway.pids()
        os.kill(gateway.pid, signal.SIGKILL)
        watch.gone = True
        watch.excused.add(REFUSED)
        watch.over(lambda: scene.children.has_ended(gateway.pid) and not any(map(_runs, pids)))
        watch.expect(get(gateway.port, "/healthy")[0] < 0, "somebody still serves")
        watch.saw(f"{len(pids)} processes ended")
        time.sleep(CALM)
    return watch


def _two(scene: Scene) -> Gateway:
    gateway = scene.gateway(scene.ini(workers=2))
    until(lambda: len(_ready(gateway)) == 2, STARTS_WITHIN, "two workers")
    return gateway


def _ready(gateway: Gateway) -> list[int]:
    return [one["pid"] for one in _workers(gateway) if one["ready"]]


def _workers(gateway: Gateway) -> list[dict[str, Any]]:
    """None while there is nobody who could say."""
    found: list[dict[str, Any]] = gateway.admin("/api/workers").get("workers", [])
    return found


def _runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def certificate_broken(scene: Scene) -> Watch:
    """The load speaks TLS, and goes on with the certificate that was good."""
    certificate = scene.directory / "public.pem"
    good = pem()
    certificate.write_text(good)
    gateway = scene.gateway(scene.ini(listener="tls = yes\ncertificates = public.pem"), wait=False)
    with scene.watched(gateway, tls=True) as watch:
        broken = good[: len(good) // 2]
        certificate.write_text(broken)
        outcomes = []
        until_then = time.monotonic() + scene.seconds
        while time.monotonic() < until_then:
            outcomes.append(gateway.reload()[0])
            time.sleep(0.3)
        watch.saw(f"{outcomes.count('refused')} reloads refused of {len(outcomes)}")
        watch.expect(set(outcomes) == {"refused"}, f"a broken certificate was taken: {outcomes}")
        certificate.write_text(good)
        watch.over(lambda: gateway.reload()[0] == "ok")
    return watch


def disk_full(scene: Scene) -> Watch:
    """The access log is written to where nothing can be written."""
    gateway = scene.gateway(scene.ini(log="/dev/full"))
    with scene.watched(gateway) as watch:
        before = len(gateway.log())
        used = procfs.cpu_seconds(gateway.pid)
        time.sleep(scene.seconds)
        used = (procfs.cpu_seconds(gateway.pid) - used) / scene.seconds
        written = gateway.log()[before:]
        watch.saw(f"{used:.0%} of a CPU; {len(written.splitlines())} lines in its own log meanwhile")
        watch.expect(len(written) < 100_000, "its own log is flooded")
        watch.expect("are lost" in gateway.log(), "nothing is said of it")
        config = gateway.config.read_text("utf-8").replace("/dev/full", "access.log")
        gateway.config.write_text(config, "utf-8")
        watch.expect(gateway.reload()[0] == "ok", "another file isn't taken")
        log = scene.directory / "access.log"
        watch.over(lambda: log.exists() and log.stat().st_size > 0)
    return watch


def descriptors_run_out(scene: Scene) -> Watch:
    """The load keeps its connections; others come until there is no room, and some more."""
    gateway = scene.gateway(scene.ini(), descriptors=DESCRIPTORS)
    with scene.watched(gateway, kept=True) as watch, contextlib.ExitStack() as stack:
        opened = []
        for _ in range(2 * DESCRIPTORS):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", gateway.port))
            _begins(client)
            opened.append(client)
        used = procfs.cpu_seconds(gateway.pid)
        time.sleep(scene.seconds)
        used = (procfs.cpu_seconds(gateway.pid) - used) / scene.seconds
        shed = sum(map(_closed, opened))
        watch.saw(f"{len(opened)} clients, {shed} shed at once, {used:.0%} of a CPU, {gateway.files()} descriptors")
        watch.expect(used < BUSY, f"it spins: {used:.0%} of a CPU")
        stack.close()
        watch.over(lambda: get(gateway.port, "/healthy", 1.0)[0] == 200)
    return watch


def _begins(client: socket.socket) -> None:
    """Send half a head once it is connected. :raises SceneError: it never is."""
    begun = time.monotonic()
    while True:
        try:
            client.send(b"GET /healthy HTTP/1.1\r\n")
        except (BlockingIOError, InterruptedError):
            if time.monotonic() - begun > STARTS_WITHIN:
                raise SceneError("the kernel makes no connection") from None
            time.sleep(0.001)
        except OSError:
            return
        else:
            return


def _closed(client: socket.socket) -> bool:
    try:
        return client.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
