"""A burst of HTTP/2 over TLS by h2load."""

import math
import re
import shutil
from pathlib import Path

from benchmarks.contender import HOST, Running
from benchmarks.result import Result
from benchmarks.scenarios import Scenario

FINISHED = re.compile(r"^finished in ([0-9.]+)(us|ms|s|m),", re.MULTILINE)
REQUESTS = re.compile(r"^requests: .* ([0-9]+) succeeded, ([0-9]+) failed, ([0-9]+) errored, ([0-9]+) timeout", re.M)
STATUSES = re.compile(r"^status codes: [0-9]+ 2xx, ([0-9]+) 3xx, ([0-9]+) 4xx, ([0-9]+) 5xx", re.MULTILINE)
DATA = re.compile(r"\(([0-9]+)\) data$", re.MULTILINE)
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def missing() -> str:
    return "" if shutil.which("h2load") else "no h2load on the PATH"


def command(directory: Path, server: Running, scenario: Scenario, seconds: float) -> list[str]:
    """The command line that drives ``server``; h2load knows whole seconds alone."""
    headers = [f"--header={name}: {value}" for name, value in (*server.headers, *scenario.headers)]
    options = [f"--duration={math.ceil(seconds)}", f"--clients={scenario.connections}"]
    options.append(f"--max-concurrent-streams={scenario.streams}")
    return ["h2load", *options, *headers, f"https://{HOST}:{server.tls_port}{scenario.path}"]


def result(output: str, scenario: Scenario) -> Result:
    finished, requests = FINISHED.search(output), REQUESTS.search(output)
    statuses, data = STATUSES.search(output), DATA.search(output)
    if finished is None or requests is None or statuses is None or data is None:
        return Result(0, 0.0, output.strip()[-300:] or "h2load printed nothing")
    done, failed, errored, late = map(int, requests.groups())
    errors = {"failed": failed, "errored": errored, "timeout": late, "not 2xx": sum(map(int, statuses.groups()))}
    if "Application protocol: h2" not in output:
        errors["without HTTP/2"] = done
    return Result.of(done, float(finished[1]) * UNITS[finished[2]], int(data[1]), errors, scenario)
