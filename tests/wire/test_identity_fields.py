"""What services get of who asks, at a real gateway: claims as fields, and Authorization passed, dropped or replaced."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

from tests.authority import Authority, write
from tests.tokens import SECRET, signed
from tests.wire.gateway import BOUND, Gateway
from tests.wire.server import Server
from tests.wire.sockets import Service, Wire, connect

INI = """\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:user]
urls = http://127.0.0.1:{port}
authorization = drop
[service:passed]
urls = http://127.0.0.1:{port}
[service:replaced]
urls = http://127.0.0.1:{port}
authorization = replace
authorization_env = OWN
[identity]
claims =
  X-User-Email: email
  X-Tenant: org.id
  X-Groups: groups
[route:dropped]
path = /dropped
service = user
auth = optional
[route:passed]
path = /passed
service = passed
auth = required
[route:replaced]
path = /replaced
service = replaced
[graphql]
service = user
"""
ENVIRON = {"JWT_SECRET": SECRET.decode(), "OWN": "Basic b3duOnNlY3JldA=="}


def test_claims_and_authorization(user: Server, tmp_path: Path) -> None:
    token = signed(
        {
            "email": "anna@example.com",
            "org": {"id": 17},
            "groups": ["a", "b,c", ["d"], True, "e\r\nX-User-Id: root"],
            "scope": "read write",
        }
    )
    with Gateway(tmp_path, INI.format(port=user.port), environ=ENVIRON) as gateway:
        wire = connect(gateway.port)

        def sent(path: bytes, bearer: bytes | None = token) -> dict[str, str]:
            lines = b"" if bearer is None else b"Authorization: Bearer " + bearer + b"\r\n"
            spoofed = b"X-User-Email: root@example.com\r\nx_tenant: 1\r\nX-Groups: root\r\nX-User-Scopes: all\r\n"
            wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n" + spoofed + lines + b"\r\n")
            assert wire.answer().status == 200
            return user.asked[-1]

        for path, authorization in ((b"/dropped", None), (b"/passed", f"Bearer {token.decode()}")):
            for _ in range(2):  # the second time from what the connection remembers
                fields = sent(path)
                assert fields.get("Authorization") == authorization
                assert (fields["X-User-Email"], fields["X-Tenant"]) == ("anna@example.com", "17")
                assert (fields["X-Groups"], fields["X-User-Scopes"]) == ("a,true", "read write")
        for path, bearer, authorization in (
            (b"/replaced", token, ENVIRON["OWN"]),
            (b"/api/v1/auth/login", token, None),
            (b"/graphql", token, None),
            (b"/dropped", None, None),
        ):
            fields = sent(path, bearer)
            assert fields.get("Authorization") == authorization
            assert not {"X-User-Email", "x_tenant", "X-Tenant", "X-Groups", "X-User-Scopes"} & set(fields)
        wire.close()
        assert ENVIRON["OWN"] not in "\n".join([*gateway.output, json.dumps(gateway.logged)])


def test_what_no_service_gets_as_a_field_it_does_not_get_as_a_trailer(tmp_path: Path) -> None:
    service = Service()
    ini = INI.format(port=service.port).replace(
        "path = /dropped\n",
        "path = /dropped\nrequest.set = X-Env: prod, X-Client: {client_ip}\nrequest.remove = X-Debug\n",
    )
    names = ["X-Tenant", "x_tenant", "X-Groups", "X-Api-Key", "X-Env", "X-Client", "X.Debug", "X-User-Id", "X-Checksum"]
    trailers = "".join(f"{name}: forged\r\n" for name in names)
    try:
        with Gateway(tmp_path, ini + "[api_keys]\nfield = X-Api-Key\n", environ=ENVIRON) as gateway:
            wire = connect(gateway.port)
            head = "POST /dropped HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            wire.send(f"{head}1\r\nx\r\n0\r\n{trailers}\r\n".encode())
            asked = service.accept()
            assert asked.request().trailers == [(b"X-Checksum", b"forged")]
            asked.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert wire.answer().status == 204
            wire.close()
    finally:
        service.close()


def test_the_certificate_at_the_places_that_are_no_routes(user: Server, tmp_path: Path) -> None:
    authority = Authority("clients")
    pem = write(tmp_path / "gw.pem", authority.issue("localhost"))
    ca = write(tmp_path / "ca.pem", authority.pem)
    client = write(tmp_path / "client.pem", authority.issue(subject="anna", client=True))
    ini = f"""\
[gateway]
access_log = -
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
tls = yes
certificates = {pem}
client_auth = required
client_ca = {ca}
[service:user]
urls = http://127.0.0.1:{user.port}
client_certificate = yes
[graphql]
service = user
"""
    with Gateway(tmp_path, ini) as gateway:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(client)
        plain = socket.create_connection(("127.0.0.1", gateway.port), BOUND)
        wire = Wire(context.wrap_socket(plain, server_hostname="localhost"))
        for path in (b"/api/v1/auth/login", b"/graphql"):
            wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nX-Client-Cert-Subject: CN=root\r\n\r\n")
            assert wire.answer().status == 200
            assert user.asked[-1]["X-Client-Cert-Subject"] == "CN=anna"
            assert len(user.asked[-1]["X-Client-Cert-Fingerprint"]) == 64
        wire.close()
