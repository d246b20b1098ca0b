"""Who may use what is for operators: whoever has the token; without one whoever is on this machine."""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import ip_address

from twisted.logger import Logger

from apigw.errors import ClientError
from apigw.messages import Exchange, Field, field_values
from apigw.pipeline import Stage
from apigw.policy.cross_site import cross_site

CHALLENGE: Field = (b"WWW-Authenticate", b'Bearer realm="apigw admin"')

SAFE = (b"GET", b"HEAD", b"OPTIONS")

RELAYED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
"""Fields of a proxy on this machine, behind which may be anybody."""


class AdminTokenNeeded(ClientError):
    status = 401
    code = "admin-token-needed"
    title = "The admin token is needed"


class AdminForbidden(ClientError):
    status = 403
    code = "admin-forbidden"
    title = "This is for operators only"


def is_loopback(host: str) -> bool:
    """An address or a name that means this machine; a UNIX socket has the empty one."""
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _name(authority: bytes) -> str:
    """The host of an authority, without port and brackets."""
    text = authority.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


class AdminAccess:
    """:param token: empty for none."""

    def __init__(self, token: bytes) -> None:
        self._token = token

    def check(self, exchange: Exchange) -> None:
        """
        For all on the admin listener.

        Without a token the listener is on loopback, where a browser may be led by a name that a stranger's DNS server
        resolves to 127.0.0.1: so the host that it asks for must be this machine by name, too.

        :raises AdminTokenNeeded: :raises AdminForbidden:
        """
        if self._token:
            if not self.has_token(exchange):
                raise AdminTokenNeeded("Send it as Authorization: Bearer ....", fields=[CHALLENGE])
        elif not is_loopback(_name(exchange.request.authority)):
            raise AdminForbidden("Ask for localhost, or set a token.")

    def check_public(self, exchange: Exchange) -> None:
        """
        For what the public listeners show operators: a client on this machine needs no token.

        :raises AdminTokenNeeded: :raises AdminForbidden: there is no token to be had.
        """
        request = exchange.request
        relayed = any(name.lower() in RELAYED for name, _ in request.fields)
        if not relayed and is_loopback(request.client.host) and is_loopback(_name(request.authority)):
            return
        if not self._token:
            raise AdminForbidden("Ask from the gateway's own machine, or set a token in [admin].")
        if not self.has_token(exchange):
            raise AdminTokenNeeded("Send it as Authorization: Bearer ....", fields=[CHALLENGE])

    def has_token(self, exchange: Exchange) -> bool:
        """Takes as long for a token that is nearly right as for any other of its length."""
        values = field_values(exchange.request.fields, b"authorization")
        if not self._token or len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and compare_digest(token.strip(b" "), self._token)


class AdminOnly(Stage):
    """Lets operators in alone, and logs what they do beyond looking."""

    _log = Logger()

    def __init__(self, access: AdminAccess) -> None:
        self._access = access

    def request(self, exchange: Exchange) -> None:
        """:raises AdminTokenNeeded: :raises AdminForbidden: another site's page makes its browser ask, too."""
        self._access.check(exchange)
        request = exchange.request
        if request.method not in SAFE and cross_site(request.fields, request.authority, lambda _: False):
            raise AdminForbidden("A page of another site asks for it.")

    def done(self, exchange: Exchange) -> None:
        request, response = exchange.request, exchange.response
        if request.method not in SAFE:
            self._log.info(
                "admin: {method} {path} from {client}: {status}",
                method=request.method.decode("latin-1"),
                path=request.path.decode("latin-1"),
                client=exchange.client_ip or "a UNIX socket",
                status=0 if response is None else response.status,
            )
