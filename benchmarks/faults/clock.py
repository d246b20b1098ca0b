"""The time of day jumps under a gateway, as it does where it is set by hand or a virtual machine was suspended."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path

import jwt

from benchmarks.faults.scene import HEALTHY, NORMAL_WITHIN, Gateway, Scene, SceneError, Watch, fields, get, until

LIBRARY = "libfaketimeMT.so.1"
HOUR = 3600
DAY = 24 * HOUR
SECRET = "s" * 32
NEVER = 10.0  # seconds
SLOW = 3.0  # seconds in which what has a limit of 1 s has to end
MORE = """\
[jwt]
secret_env = CLOCK_SECRET
[service:failing]
urls = http://127.0.0.1:{failing}
retry.attempts = 1
timeout.connect = 500ms
timeout.first_byte = 500ms
breaker.open_for = 500ms
breaker.closes_after = 1
outlier.eject_for = 500ms
keepalive.idle = 1s
[route:failing]
path = /failing
service = failing
[route:closed]
path = /closed
service = healthy
auth = required
[route:limited]
path = /limited
service = healthy
limit.ip = 1000000/h
[route:cached]
path = /cached
service = healthy
cache = 500ms
[route:scarce]
path = /scarce
service = healthy
limit.ip = 2/h
"""


class TimeOfDay:
    """What a gateway takes for the time of day; monotonic time is the machine's, as it would be."""

    def __init__(self, scene: Scene) -> None:
        found = sorted(Path("/usr/lib").glob(f"**/faketime/{LIBRARY}"))
        if not found:
            raise SceneError("this needs libfaketime: apt install faketime")
        self._file = scene.directory / "time-of-day"
        self.environ = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, ahead: int) -> None:
        """:param ahead: seconds from now on, of the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+d}\n")
        new.replace(self._file)


def jumps(scene: Scene) -> Watch:
    """An hour ahead, then two back, then right again; each time a peer fails, and a client is slow."""
    clock = TimeOfDay(scene)
    failing = scene.peer()
    # No thread may write a log: the library also replaces what Python's threads wait for each other by, so that turns
    # of 30 ms would be its own, without any jump.
    ini = scene.ini(log="off", more=MORE.format(failing=failing.port))
    gateway = scene.gateway(ini, CLOCK_SECRET=SECRET, **clock.environ)
    spent = [get(gateway.port, "/scarce")[0] for _ in range(3)]
    with scene.watched(gateway, "/closed", "/limited", "/cached", bearer=("/closed", _token(DAY))) as watch:
        watch.expect(spent == [200, 200, 429], f"a limit of two lets through {spent}")
        for ahead in (HOUR, -HOUR):
            failing.signal(signal.SIGSTOP)
            with ThreadPoolExecutor() as pool:
                waiting = [pool.submit(_asked, gateway.port), pool.submit(_slow_head, gateway.port)]
                time.sleep(0.2)
                clock.set(ahead)
                longest = max(one.result() for one in waiting)
            watch.saw(f"{ahead:+d} s: what waited was ended after {longest:.1f} s")
            watch.expect(longest < SLOW, "timers went by the time of day")
            watch.expect(abs(_ahead(gateway) - ahead) < 60, "the time of day stayed as it was")
            watch.saw("failing peer:", *_failing(gateway, watch, scene.seconds / 2.0))
            expected = 401 if ahead > 0 else 200
            status = get(gateway.port, "/closed", bearer=_token(HOUR // 2))[0]
            watch.expect(status == expected, f"{ahead:+d} s: {status} for a token of half an hour")
            watch.expect(get(gateway.port, "/scarce")[0] == 429, f"{ahead:+d} s: a limit of an hour is forgotten")
            failing.signal(signal.SIGCONT)
            until(lambda: get(gateway.port, "/failing")[0] == 200, NORMAL_WITHIN, "a peer that is used again")
        clock.set(0)
        watch.over(lambda: abs(_ahead(gateway)) < 60 and get(gateway.port, "/failing")[0] == 200)
    return watch


def _token(seconds: int) -> str:
    """One that has been valid for a day and will be for ``seconds``."""
    now = int(time.time())
    return jwt.encode({"sub": "user", "iat": now - DAY, "nbf": now - DAY, "exp": now + seconds}, SECRET, "HS256")


def _ahead(gateway: Gateway) -> float:
    """Seconds, by its field Date."""
    said = fields(gateway.port, HEALTHY).get("date")
    return parsedate_to_datetime(said).timestamp() - time.time() if said else 0.0


def _failing(gateway: Gateway, watch: Watch, seconds: float) -> list[int]:
    """Statuses for a peer that hangs; each has its time."""
    found, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        begun = time.monotonic()
        found.append(get(gateway.port, "/failing")[0])
        watch.expect(time.monotonic() - begun < SLOW, "an error came late")
        time.sleep(0.1)
    watch.expect(all(status >= 500 for status in found), "a failing peer's answers count as good")
    return found


def _asked(port: int) -> float:
    """:return: seconds until a request for the peer that hangs is given up."""
    begun = time.monotonic()
    get(port, "/failing")
    return time.monotonic() - begun


def _slow_head(port: int) -> float:
    """:return: seconds until a client that doesn't end its head is ended."""
    begun = time.monotonic()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), NEVER) as client:
        client.sendall(b"GET /healthy HTTP/1.1\r\n")
        while client.recv(4096):
            pass
    return time.monotonic() - begun
