"""Faults of services, beside a healthy peer of the same service and a service that is well."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable

from benchmarks.faults.scene import NORMAL_WITHIN, Gateway, Peer, Scene, Watch, get

MORE = """\
[service:pair]
urls = http://127.0.0.1:{sound}, http://127.0.0.1:{failing}
balance = round_robin
keepalive.idle = 1s
retry.on = connect, reset, timeout, 502, 503, 504
timeout.connect = 500ms
timeout.first_byte = 300ms
breaker.open_for = 500ms
breaker.closes_after = 1
outlier.eject_for = 500ms
[service:alone]
urls = http://127.0.0.1:{failing}
retry.attempts = 1
timeout.connect = 500ms
timeout.first_byte = 300ms
timeout.idle = 1s
timeout.total = 2s
breaker.open_for = 500ms
breaker.closes_after = 1
outlier.eject_for = 500ms
keepalive.idle = 1s
[route:pair]
path = /pair
service = pair
[route:alone]
path = /alone
service = alone
"""

Change = Callable[[Peer], None]


def _failing(scene: Scene, begin: Change, end: Change) -> Watch:
    """Requests go to the healthy route, to a pair of which one peer fails, and to that peer alone."""
    failing, gateway = _gateway(scene)
    with scene.watched(gateway, "/pair") as watch:
        begin(failing)
        until = time.monotonic() + scene.seconds
        statuses, longest = [], 0.0
        while time.monotonic() < until:
            begun = time.monotonic()
            statuses.append(get(gateway.port, "/alone")[0])
            longest = max(longest, time.monotonic() - begun)
            time.sleep(0.1)
        watch.saw("alone:", *statuses)
        watch.expect(200 not in statuses, "a failing peer's answers count as good")
        watch.expect(all(status >= 500 for status in statuses), "a client without an answer")
        watch.expect(longest < 2.5, f"an error took {longest:.1f} s")
        end(failing)
        watch.over(lambda: get(gateway.port, "/alone")[0] == 200)
    return watch


def _gateway(scene: Scene) -> tuple[Peer, Gateway]:
    sound, failing = scene.peer(), scene.peer()
    return failing, scene.gateway(scene.ini(more=MORE.format(sound=sound.port, failing=failing.port)))


def _becomes(mode: str) -> Callable[[Scene], Watch]:
    return lambda scene: _failing(scene, lambda peer: peer.become(mode), lambda peer: peer.become("ok"))


def killed(scene: Scene) -> Watch:
    return _failing(scene, Peer.kill, Peer.start)


def hung(scene: Scene) -> Watch:
    return _failing(scene, lambda peer: peer.signal(signal.SIGSTOP), lambda peer: peer.signal(signal.SIGCONT))


slow = _becomes("slow")
resetting = _becomes("reset")
garbage = _becomes("garbage")
endless_head = _becomes("head")


def endless_body(scene: Scene) -> Watch:
    """Answers without end can't be told from long ones: clients take 20 of them, two stop reading."""
    failing, gateway = _gateway(scene)
    taken = [0] * 20
    ended = threading.Event()

    def take(number: int) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", gateway.port), 10.0) as client:
            client.sendall(b"GET /alone HTTP/1.1\r\nHost: gw\r\n\r\n")
            while not ended.is_set():
                if number < 2:
                    ended.wait()
                else:
                    taken[number] += len(client.recv(65536))
                    ended.wait(0.01)

    with scene.watched(gateway) as watch:
        failing.become("body")
        threads = [threading.Thread(target=take, args=(number,), daemon=True) for number in range(len(taken))]
        for thread in threads:
            thread.start()
        time.sleep(scene.seconds)
        watch.saw(f"{sum(taken) >> 20} MiB taken by {sum(map(bool, taken))} clients")
        watch.expect(sum(map(bool, taken)) == len(taken) - 2, "answers that didn't come")
        ended.set()
        for thread in threads:
            thread.join(NORMAL_WITHIN)
        failing.become("ok")
        watch.over(lambda: get(gateway.port, "/alone")[0] == 200)
    return watch
