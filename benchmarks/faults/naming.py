"""A name server that fails, and comes back with another address."""

from __future__ import annotations

import socket
import threading
import time

from twisted.names import dns

from benchmarks.faults.peer import BODY
from benchmarks.faults.scene import STARTS_WITHIN, Gateway, Scene, Watch, get, until

HOST = "service.faults.example"
RECORD = "_service._tcp.faults.example"
OLD, NEW = "127.0.0.1", "127.0.0.2"
MORE = """\
[discovery]
dns_servers = 127.0.0.1:{server}
dns_ttl = 500ms..1s
[service:named]
urls = http://{host}:{port}
[route:named]
path = /named
service = named
[service:records]
urls = srv+http://{record}
[route:records]
path = /records
service = records
"""


class NameServer:
    """
    One host and its SRV record, on UDP, in a thread.

    :param port: of the service.

    :ivar address: of the service.
    :ivar mode: ``ok``, ``servfail`` or ``silent``.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._service = port
        self.port: int = self._socket.getsockname()[1]
        self.address = OLD
        self.mode = "ok"
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(65536)
            self.asked += 1
            if self.mode != "silent":
                self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        message = dns.Message()
        message.fromStr(question)
        message.answer = True
        [asked] = message.queries
        name, kind = str(asked.name), asked.type
        if self.mode == "servfail":
            message.rCode = dns.ESERVER
        elif (name, kind) == (HOST, dns.A):
            message.answers.append(dns.RRHeader(HOST.encode(), kind, dns.IN, 1, dns.Record_A(self.address)))
        elif (name, kind) == (RECORD, dns.SRV):
            target = dns.Record_SRV(0, 1, self._service, HOST.encode())
            message.answers.append(dns.RRHeader(RECORD.encode(), kind, dns.IN, 1, target))
        else:
            message.rCode = dns.ENAME
        return bytes(message.toStr())


def fails(scene: Scene) -> Watch:
    """SERVFAIL for a while, then silence, then another address, at which the same service is."""
    old = scene.peer()
    scene.peer(NEW, old.port)
    server = NameServer(old.port)
    more = MORE.format(server=server.port, port=old.port, host=HOST, record=RECORD)
    gateway = scene.gateway(scene.ini(more=more))
    for path in ("/named", "/records"):
        until(lambda path=path: get(gateway.port, path) == (200, BODY), STARTS_WITHIN, "a service that is found")
    with scene.watched(gateway, "/named", "/records") as watch:
        for mode in ("servfail", "silent"):
            server.mode, asked = mode, server.asked
            time.sleep(scene.seconds)
            watch.saw(f"{mode}: asked {server.asked - asked} times")
        watch.expect(_moved(gateway) == 0, "another address without an answer")
        watch.expect(gateway.log().count("stay in use") == 2, "nothing is said of it")
        server.address, server.mode = NEW, "ok"
        watch.over(lambda: _moved(gateway) == 2)
        old.kill()
        watch.saw("then the old address was gone")
        time.sleep(scene.seconds / 2.0)
    return watch


def _moved(gateway: Gateway) -> int:
    """How many of both services are at the new address and no other."""
    peers = gateway.admin("/api/peers")["peers"]
    at = {name: {peer["name"] for peer in peers if peer["service"] == name} for name in ("named", "records")}
    return sum(all(NEW in one for one in names) for names in at.values() if names)
