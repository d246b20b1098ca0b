"""From the configuration to the doors that are closed for maintenance, and whom they are open to all the same."""

from __future__ import annotations

from collections.abc import Sequence

from apigw.config import GatewayConfig
from apigw.config.model import GatewaySection, RouteSection, ServiceSection
from apigw.policy.maintenance import Door


def service_door(config: GatewayConfig, service: ServiceSection) -> Door | None:
    """Of one service; None while it is open."""
    return _door(config, service)


def doors(config: GatewayConfig, services: Sequence[str], route: RouteSection | None = None) -> list[Door]:
    """
    Those that are closed on the way of a route.

    :param services: that answer there. Where there are several it depends on each of them what becomes of a request.
    """
    found = [_door(config, config.gateway)]
    if route is not None:
        found.append(_door(config, route))
    if len(services) == 1:
        found.append(_door(config, config.service(services[0])))
    return [door for door in found if door is not None]


def _door(config: GatewayConfig, section: GatewaySection | ServiceSection | RouteSection) -> Door | None:
    if not section.maintenance:
        return None
    return Door(section.maintenance, {*config.gateway.maintenance_allow, *section.maintenance_allow})
