"""One burst of load on a contender, and the CPU time that it used meanwhile."""

import shutil
import time

from attrs import frozen

from benchmarks import h2load, procfs, wrk
from benchmarks.bench import Bench
from benchmarks.contender import Running
from benchmarks.result import Result
from benchmarks.scenarios import Scenario

SETTLE = 0.1  # seconds after a burst, in which the closing of its connections is still counted
SLACK = 30.0  # seconds that the load may take beyond its duration


@frozen
class Burst:
    """What a burst did, and the CPU seconds of it; ``problem`` says why it doesn't count, or is empty."""

    requests: int
    seconds: float
    cpu: float
    problem: str

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / self.requests


def missing(scenario: Scenario) -> str:
    """What this machine lacks to send such a load, ``""`` for nothing."""
    return h2load.missing() if scenario.http2 else wrk.missing()


def burst(bench: Bench, server: Running, scenario: Scenario, seconds: float) -> Burst:
    """Drive ``server`` for ``seconds``, if the scenario doesn't need more, and count what its process tree used."""
    seconds = max(seconds, scenario.least)
    directory = bench.new_directory("load")
    load = h2load if scenario.http2 else wrk
    log = directory / "output.log"
    before = procfs.cpu_seconds(server.pid)
    pid = bench.children.spawn(load.command(directory, server, scenario, seconds), log=log)
    ended = bench.children.wait(pid, seconds + SLACK)
    time.sleep(SETTLE)
    cpu = procfs.cpu_seconds(server.pid) - before
    found = load.result(log.read_text(), scenario) if ended else Result(0, 0.0, "the load didn't end")
    shutil.rmtree(directory)
    return Burst(found.requests, found.seconds, cpu, found.problem)
