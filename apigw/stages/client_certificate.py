"""Holds requests to what their host asks of clients, and tells services who has shown a certificate."""

from __future__ import annotations

from collections.abc import Mapping

from apigw.errors import Misdirected
from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.client_auth import NOTHING_ASKED, ClientAuth, host_name

SUBJECT = b"X-Client-Cert-Subject"
FINGERPRINT = b"X-Client-Cert-Fingerprint"


class ClientAuthChecked(Stage):
    """
    The handshake has asked for what the name in it needs, and a request may name another host. Where that one asks for
    something else the request belongs on another connection (RFC 9110 section 15.5.20).

    :param hosts: by name, in lower case.
    """

    pure = True

    def __init__(self, hosts: Mapping[str, ClientAuth]) -> None:
        self._hosts = hosts

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        if exchange.error is not None:
            return
        tls = request.client.tls
        asked = self._hosts.get(host_name(request.authority))
        if asked is None:
            asked = NOTHING_ASKED if tls is None else tls.auths.default
        if tls is None:
            if asked.mode == "required":
                raise Misdirected("The host wants a certificate of its clients, and so TLS.")
        elif asked.asks and asked != tls.auth:
            raise Misdirected(
                "The host wants a certificate of its clients: connect anew, with its name in the handshake."
            )


class CertificateFields(Stage):
    """Tells the service; what the client itself says in these fields never gets there."""

    pure = True

    def request(self, exchange: Exchange) -> None:
        request = exchange.request
        tls = request.client.tls
        if tls is None or tls.certificate is None or tls.auths.of(host_name(request.authority)) != tls.auth:
            return
        shown = tls.certificate
        exchange.forwarding = [*exchange.forwarding, (SUBJECT, shown.subject), (FINGERPRINT, shown.fingerprint)]
