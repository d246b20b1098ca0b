"""Leads clients to https, and tells them to stay there."""

from __future__ import annotations

from apigw.dates import HttpDate
from apigw.errors import MalformedRequest
from apigw.messages import Exchange, Response
from apigw.pipeline import Stage
from apigw.policy.client_auth import host_name


class StrictTransport(Stage):
    """
    Adds Strict-Transport-Security to answers over TLS, and to no others (RFC 6797 section 7.2). Where the service has
    sent the field its own comes first, and that is the one that counts (section 8.1).

    :param value: of the field.
    """

    def __init__(self, value: str) -> None:
        self._line = b"Strict-Transport-Security: %b\r\n" % value.encode()

    def response(self, exchange: Exchange, response: Response) -> None:
        if exchange.request.client.scheme == b"https":
            response.lines += self._line


class ToHttps:
    """
    Across to nowhere: answers each request with its own URL, but for the scheme.

    :param port: where https is.
    """

    def __init__(self, port: int, date: HttpDate) -> None:
        self._port = b"" if port == 443 else b":%d" % port
        self._date = date

    def __call__(self, exchange: Exchange) -> Response:
        request = exchange.request
        if not request.authority:
            raise MalformedRequest("The request names no host.")
        path = request.path if request.path.startswith(b"/") else b"/"
        host = host_name(request.authority).encode("latin-1")
        location = b"https://%b%b%b%b" % (host, self._port, path, request.query)
        fields = [(b"Date", self._date.now()), (b"Location", location), (b"Content-Length", b"0")]
        return Response(308, b"Permanent Redirect", fields, b"")
