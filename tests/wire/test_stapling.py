"""An OCSP response in the handshakes of a real gateway, as OpenSSL's own client sees it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.authority import Authority, stapled, write
from tests.wire.gateway import BOUND, Gateway

INI = """\
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = tls/*
[service:user]
urls = http://127.0.0.1:1
[route:users]
path = /
service = user
"""


def status(port: int, name: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-status"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND, check=False)
    [line] = [line for line in done.stdout.splitlines() if "OCSP response:" in line or "Cert Status:" in line][-1:]
    return line.strip()


def test_a_response_is_sent_and_taken_anew(tmp_path: Path) -> None:
    authority = Authority("root")
    (tmp_path / "tls").mkdir()
    one, other = authority.issue("a.test"), authority.issue("b.test")
    write(tmp_path / "tls/a.pem", one)
    write(tmp_path / "tls/b.pem", other)
    write(tmp_path / "tls/b.ocsp", stapled(authority, other))
    with Gateway(tmp_path, INI) as gateway:
        assert status(gateway.port, "a.test") == "OCSP response: no response sent"
        assert status(gateway.port, "b.test") == "Cert Status: good"
        write(tmp_path / "tls/a.ocsp", stapled(authority, one))
        write(tmp_path / "tls/b.ocsp", stapled(authority, other, revoked=True))
        gateway.signal(signal.SIGHUP)
        gateway.wait(lambda: any("not stapled" in line and "is revoked" in line for line in gateway.output))
        gateway.wait(lambda: any("certificates: " in line for line in gateway.output))
        assert status(gateway.port, "a.test") == "Cert Status: good"
        assert status(gateway.port, "b.test") == "OCSP response: no response sent"
