"""What clients meet before a site, as the section of the listener says: the PROXY protocol, and TLS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory

from apigw.config.model import HostSection, ListenerSection
from apigw.policy.client_auth import ClientAuth, ClientAuths
from apigw.policy.forwarded import Forwarding
from apigw.web.proxied import ProxiedFactory
from apigw.web.site import Site

if TYPE_CHECKING:
    from apigw.web.tls import Certificates


def certificates(listener: ListenerSection, hosts: Iterable[HostSection]) -> Certificates | None:
    """
    What ``listener`` shows and asks for; None without TLS.

    :raises ValueError: a file can't be used.
    """
    if listener.certificates is None:
        return None
    from apigw.web.tls import Certificates  # takes 60 ms

    auths = ClientAuths(ClientAuth(listener.client_auth, listener.client_ca), host_auths(hosts))
    protocols = (b"h2", b"http/1.1") if listener.speaks_http2 else (b"http/1.1",)
    return Certificates(listener.name, listener.certificates, auths, protocols)


def host_auths(hosts: Iterable[HostSection]) -> dict[str, ClientAuth]:
    """By host name, in lower case."""
    return {host.name.lower(): ClientAuth(host.client_auth, host.client_ca) for host in hosts}


def entrance(
    listener: ListenerSection, certificates: Certificates | None, trusted: Forwarding, site: Site
) -> IProtocolFactory:
    """
    What is to listen for ``site``.

    :param trusted: the proxies whose PROXY headers count.
    """
    factory: IProtocolFactory = site
    if certificates is not None:
        from apigw.web.handshake import TlsFactory

        factory = TlsFactory(site, certificates, listener.handshake_timeout)
    elif listener.speaks_http2:
        from apigw.web.h2c import PriorKnowledge

        factory = PriorKnowledge(site)
    if listener.proxy_protocol:
        factory = ProxiedFactory(site, factory, trusted, listener.handshake_timeout)
    return factory
