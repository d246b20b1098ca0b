"""What a real gateway counts of tokens and handshakes, and what it says of a certificate that ends soon."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from time import time

from tests.authority import Authority, write
from tests.tokens import SECRET, signed
from tests.wire.gateway import BOUND, Gateway
from tests.wire.sockets import Wire, connect

INI = """\
[gateway]
access_log = off
[listener:secure]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = gw.pem
handshake_timeout = 200ms
[admin]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:1
[route:users]
path = /
service = user
auth = required
[route:open]
path = /open
service = user
auth = optional
"""


def metrics(gateway: Gateway) -> dict[str, float]:
    wire = connect(gateway.ports["admin"])
    wire.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    text = wire.answer().body.decode()
    wire.close()
    return {found[1]: float(found[2]) for found in re.finditer(r"^(apigw_t\S+) (\S+)$", text, re.MULTILINE)}


def test_tokens_handshakes_and_certificates(tmp_path: Path) -> None:
    authority = Authority("root")
    path = write(tmp_path / "gw.pem", authority.issue("localhost", lasts=timedelta(days=5)))
    root = write(tmp_path / "root.pem", authority.pem)
    token = signed({"sub": "u-hidden"})
    with Gateway(tmp_path, INI, environ={"JWT_SECRET": SECRET.decode()}, listeners=2) as gateway:
        assert any(f"the certificate in {path} expires in 4 days" in line for line in gateway.output)
        context = ssl.create_default_context(cafile=root)
        plain = socket.create_connection(("127.0.0.1", gateway.ports["secure"]), BOUND)
        wire = Wire(context.wrap_socket(plain, server_hostname="localhost"))

        def ask(bearer: bytes, target: bytes = b"/") -> int:
            field = b"Authorization: Bearer " + bearer
            wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + field + b"\r\n\r\n")
            return wire.answer().status

        for _ in range(3):
            assert ask(token) >= 500  # let in, but the service is down
        assert ask(signed(lifetime=-60)) == 401
        assert ask(signed(key=SECRET + b"x")) == 401
        assert ask(signed(key=SECRET + b"x"), b"/open") >= 500
        assert ask(b"rubbish") == 401
        wire.close()

        silent = connect(gateway.ports["secure"])
        silent.gone()
        silent.close()
        wrong = connect(gateway.ports["secure"])
        wrong.send(b"GET / HTTP/1.1\r\n\r\n")
        wrong.gone()
        wrong.close()

        found = metrics(gateway)
        assert found['apigw_token_verifications_total{outcome="verified"}'] == 1
        assert found['apigw_token_verifications_total{outcome="cached"}'] == 2
        refused = {name: count for name, count in found.items() if name.startswith("apigw_token_refusals_total")}
        assert refused == {
            'apigw_token_refusals_total{reason="expired"}': 1,
            'apigw_token_refusals_total{reason="signature"}': 2,
            'apigw_token_refusals_total{reason="malformed"}': 1,
        }
        for outcome in ("done", "timeout", "failed"):
            assert found[f'apigw_tls_handshakes_total{{listener="secure",outcome="{outcome}"}}'] == 1, outcome
        labels = f'{{listener="secure",certificate="{path}"}}'
        left = found[f"apigw_tls_certificate_expires_in_seconds{labels}"]
        assert 4.9 * 86400 < left <= 5 * 86400
        assert abs(found[f"apigw_tls_certificate_expiry_timestamp_seconds{labels}"] - left - time()) < 60
        assert "u-hidden" not in str(found)
