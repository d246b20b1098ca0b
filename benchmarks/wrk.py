"""A burst of HTTP/1.1 by wrk, with or without TLS."""

import math
import shutil
from pathlib import Path

from benchmarks.contender import HOST, Headers, Running
from benchmarks.result import Result
from benchmarks.scenarios import Scenario

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

# No two requests have the same head, and users, browsers and pages change from one to the next.
VARIED = """\
local users = {{ {users} }}
local browsers, count = {{}}, 0
for i = 1, 97 do
    browsers[i] = string.format("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0", i, i)
end
request = function()
    count = count + 1
    local headers = {{
        ["User-Agent"] = browsers[count % 97 + 1],
        ["Accept"] = "application/json",
        ["Accept-Language"] = count % 2 == 0 and "en" or "de",
        ["Cookie"] = string.format("session=%016x", count * 7919),
        ["X-Client-Version"] = string.format("%d.%d", count % 5, count % 31),
    }}
    for name, value in pairs(users[count % #users + 1]) do headers[name] = value end
    return wrk.format(nil, string.format("{path}/%d/items/%d?page=%d", count % 1009, count, count % 13), headers)
end
"""
ERRORS = ("connect", "read", "write", "not 2xx", "timeout")


def missing() -> str:
    return "" if shutil.which("wrk") else "no wrk on the PATH"


def command(directory: Path, server: Running, scenario: Scenario, seconds: float) -> list[str]:
    """The command line that drives ``server``; its script and body are written into ``directory``."""
    setup = [f'wrk.headers["{name}"] = "{value}"' for name, value in (*server.headers, *scenario.headers)]
    if scenario.body:
        (directory / "body").write_bytes(scenario.body)
        setup += ['wrk.method = "POST"', f'wrk.body = read("{directory}/body")']
    if scenario.varied:
        setup.append(VARIED.format(users=", ".join(map(_table, server.users or ((),))), path=scenario.path))
    setup.append(scenario.lua)
    script = directory / "load.lua"
    script.write_text(SCRIPT.format(setup="\n".join(setup)))
    scheme, port = ("https", server.tls_port) if scenario.tls else ("http", server.port)
    options = ["-t1", f"-c{scenario.connections}", f"-d{math.ceil(seconds)}s", f"--timeout={ANSWER_TIMEOUT}s"]
    # wrk knows whole seconds alone, but ends in order when it is interrupted.
    interrupted = ["timeout", "--signal=INT", str(seconds)] if seconds % 1 else []
    return [*interrupted, "wrk", *options, "-s", str(script), f"{scheme}://{HOST}:{port}{scenario.path}"]


def _table(headers: Headers) -> str:
    """Header fields in Lua."""
    return "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in headers) + "}"


def result(output: str, scenario: Scenario) -> Result:
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return Result(0, 0.0, output.strip() or "wrk printed nothing")
    requests, microseconds, count, *errors = map(int, lines[0].split()[1:])
    return Result.of(requests, microseconds / 1e6, count, dict(zip(ERRORS, errors, strict=True)), scenario)
