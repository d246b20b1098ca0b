"""The services of one configuration after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from OpenSSL.crypto import Error as SslError

from apigw.admin.health import whole as seen
from apigw.admin.live import Seen
from apigw.config import GatewayConfig
from apigw.config.certificates import stamp
from apigw.config.model import ServiceRetry, ServiceSection
from apigw.config.steps import SOME, Steps
from apigw.reload import CannotStart
from apigw.telemetry.upstreams import ServiceState
from apigw.upstream.upstream import Upstream
from apigw.upstreams import UpstreamBuilder, addresses


@frozen
class Served:
    """A service. :ivar stamps: of the files that its section names."""

    section: ServiceSection
    stamps: object
    upstream: Upstream


class Services:
    """
    The services of one configuration. What only changes in its addresses, or not at all, keeps its connections,
    breakers and health.

    :ivar upstreams: by name.
    """

    def __init__(self, config: GatewayConfig, builder: UpstreamBuilder, before: Services | None) -> None:
        self._sections = config.services
        self._discovery = config.discovery
        self._builder = builder
        self._before = before
        self._served: dict[str, Served] = {}
        self._revised: list[Served] = []
        self.upstreams: dict[str, Upstream] = {}

    def build(self) -> Steps[None]:
        """:raises CannotStart: one can't be made."""
        before = self._before
        if before is not None and before._discovery != self._discovery:
            self._builder.rediscover(self._discovery)
        for number, service in enumerate(self._sections):
            if number % SOME == 0:
                yield
            served = self._served[service.name] = self._serve(service)
            self.upstreams[service.name] = served.upstream

    def commit(self) -> None:
        """Use them, and end those of the configuration before that aren't needed any more."""
        before, self._before = self._before, None
        if before is None:
            return
        there = {served.upstream for served in before._served.values()}
        for served in self._revised:
            self._builder.revise(served.upstream, served.section)
        for upstream in self.upstreams.values():
            if upstream not in there:
                self._builder.begin(upstream)
        for upstream in there - set(self.upstreams.values()):
            self._builder.forget(upstream)

    def give_up(self) -> None:
        """They will not be used; those before go on."""
        before = self._before
        assert before is not None
        if before._discovery != self._discovery:
            self._builder.rediscover(before._discovery)
        for name, served in self._served.items():
            other = before._served.get(name)
            if other is None or other.upstream is not served.upstream:
                self._builder.forget(served.upstream)

    def abort(self) -> None:
        """The end."""
        for upstream in self.upstreams.values():
            upstream.abort()

    def states(self) -> list[ServiceState]:
        """How they are at this moment."""
        return [self._builder.state(upstream) for upstream in self.upstreams.values()]

    def seen(self) -> list[Seen]:
        """All services, for who looks at them each second."""
        builder = self._builder

        def see(upstream: Upstream) -> dict[str, Any]:
            return seen(builder.state(upstream))

        return [(upstream, partial(see, upstream)) for upstream in self.upstreams.values()]

    def _serve(self, service: ServiceSection) -> Served:
        files = [Path(file) for file in (service.tls.ca, service.tls.client_cert) if file is not None]
        stamps = (tuple(map(stamp, files)), self._discovery if _found(service) else None)
        before = None if self._before is None else self._before._served.get(service.name)
        if before is not None and before.stamps == stamps and _pooled(before.section) == _pooled(service):
            served = Served(service, stamps, before.upstream)
            if addresses(before.section) != addresses(service):
                self._revised.append(served)
            return served
        try:
            return Served(service, stamps, self._builder.upstream(service))
        except (OSError, ValueError, SslError) as error:
            raise CannotStart(f"[service:{service.name}] {error}") from None


def _found(service: ServiceSection) -> bool:
    """Some of its addresses have to be found."""
    return any(address.discovered for address, _ in addresses(service))


def _pooled(service: ServiceSection) -> ServiceSection:
    """What a service's connections and breakers depend on, all else being the same: not the addresses of others."""
    return evolve(
        service,
        urls=tuple(address for address in service.urls if address.discovered),
        backup_urls=tuple(address for address in service.backup_urls if address.discovered),
        hash_on="",
        preserve_host=True,
        client_certificate=False,
        maintenance=0.0,
        maintenance_allow=(),
        retry=ServiceRetry(),
    )
