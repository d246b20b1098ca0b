"""One burst of load by wrk, and what is wrong with it."""

import shutil
import time
from pathlib import Path

from attrs import frozen

from benchmarks import procfs
from benchmarks.bench import Bench
from benchmarks.contender import HOST, Running
from benchmarks.scenarios import Scenario

SETTLE = 0.1  # seconds after a burst, in which the closing of its connections is still counted
SLACK = 30.0  # seconds that wrk may take beyond its duration
ANSWER_TIMEOUT = 10  # seconds after which wrk calls a request timed out

# wrk's own words are for people; this prints the same numbers for us. Errors: scripting.md of wrk.
SCRIPT = """\
local function read(path)
    local file = assert(io.open(path, "rb"))
    local all = file:read("*a")
    file:close()
    return all
end
{setup}
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration,
        summary.bytes, e.connect, e.read, e.write, e.status, e.timeout))
end
"""
ERRORS = ("connect", "read", "write", "not 2xx", "timeout")


@frozen
class Burst:
    """What a burst did, in seconds; ``problem`` says why it doesn't count, or is empty."""

    requests: int
    seconds: float
    cpu: float
    problem: str

    @property
    def cpu_per_request(self) -> float:
        return self.cpu / self.requests


def missing() -> str:
    return "" if shutil.which("wrk") else "no wrk on the PATH"


def command(directory: Path, server: Running, scenario: Scenario, seconds: int) -> list[str]:
    """The command line that drives ``server``; its script and body are written into ``directory``."""
    setup = [f'wrk.headers["{name}"] = "{value}"' for name, value in (*server.headers, *scenario.headers)]
    if scenario.body:
        (directory / "body").write_bytes(scenario.body)
        setup += ['wrk.method = "POST"', f'wrk.body = read("{directory}/body")']
    script = directory / "load.lua"
    script.write_text(SCRIPT.format(setup="\n".join(setup)))
    url = f"http://{HOST}:{server.port}{scenario.path}"
    options = ["-t1", f"-c{scenario.connections}", f"-d{seconds}s", f"--timeout={ANSWER_TIMEOUT}s"]
    return ["wrk", *options, "-s", str(script), url]


def burst(bench: Bench, server: Running, scenario: Scenario, seconds: int) -> Burst:
    """Drive ``server`` for ``seconds`` and count what its process tree used meanwhile."""
    directory = bench.new_directory("wrk")
    log = directory / "output.log"
    before = procfs.cpu_seconds(server.pid)
    pid = bench.children.spawn(command(directory, server, scenario, seconds), log=log)
    if not bench.children.wait(pid, seconds + SLACK):
        return Burst(0, 0.0, 0.0, "wrk didn't end")
    time.sleep(SETTLE)
    cpu = procfs.cpu_seconds(server.pid) - before
    output = log.read_text()
    shutil.rmtree(directory)
    return _result(output, cpu, scenario)


def _result(output: str, cpu: float, scenario: Scenario) -> Burst:
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return Burst(0, 0.0, cpu, output.strip() or "wrk printed nothing")
    requests, microseconds, count, *errors = map(int, lines[0].split()[1:])
    problems = [f"{number} {name}" for number, name in zip(errors, ERRORS, strict=True) if number]
    if not requests:
        problems.append("no answer")
    elif count < requests * scenario.answer:
        problems.append(f"answers of {count / requests:.0f} bytes")
    return Burst(requests, microseconds / 1e6, cpu, ", ".join(problems))
