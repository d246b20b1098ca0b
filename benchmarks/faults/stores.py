"""Faults of Redis, where limits count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from shutil import which

from benchmarks.contender import free_port
from benchmarks.faults.scene import STARTS_WITHIN, Scene, SceneError, Watch, until

ROUTE = "limit.ip = 1000000/h"
LIMITS = """\
store = redis
redis_url_env = REDIS_URL
"""


class Redis:
    """A server without a disk, at a port that stays the same."""

    def __init__(self, scene: Scene) -> None:
        if which("redis-server") is None:
            raise SceneError("this needs redis-server: apt install redis-server")
        self._scene = scene
        self.port = free_port()
        self.pid = 0

    def start(self) -> None:
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no"}
        argv = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.pid = self._scene.children.spawn(["redis-server", *argv], log=self._scene.directory / "redis.log")
        until(self._listens, STARTS_WITHIN, "a Redis server that listens")

    def _listens(self) -> bool:
        return "Ready to accept" in (self._scene.directory / "redis.log").read_text().rpartition("oO0Oo")[2]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._scene.children.end(self.pid)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def killed(scene: Scene) -> Watch:
    return _failing(scene, Redis.kill, Redis.start)


def hung(scene: Scene) -> Watch:
    return _failing(scene, Redis.stop, Redis.go_on)


def _failing(scene: Scene, begin: Callable[[Redis], None], end: Callable[[Redis], None]) -> Watch:
    """Normal again is a gateway that says that Redis answers."""
    redis = Redis(scene)
    redis.start()
    gateway = scene.gateway(scene.ini(limits=LIMITS, route=ROUTE), REDIS_URL=f"redis://127.0.0.1:{redis.port}")
    until(lambda: "answers" in gateway.log(), STARTS_WITHIN, "a gateway that finds Redis")
    with scene.watched(gateway) as watch:
        begin(redis)
        time.sleep(scene.seconds)
        end(redis)
        watch.over(lambda: gateway.log().count("answers") > 1)
    return watch
