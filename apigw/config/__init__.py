"""
What the gateway is to do: from an INI file and the environment to frozen values.

:func:`load` reads, :mod:`apigw.config.model` has the values, :func:`show` tells them with their origins.
"""

from apigw.config.addresses import PeerAddress
from apigw.config.discovering import DiscoverySection
from apigw.config.display import show
from apigw.config.endpoints import ListenEndpoint
from apigw.config.loader import load
from apigw.config.matching import FieldMatch, PathPattern
from apigw.config.model import (
    DemoSection,
    GatewayConfig,
    GatewaySection,
    ListenerSection,
    RouteSection,
    RouteTimeouts,
    ServiceSection,
    ServiceTimeouts,
    ServiceTls,
)
from apigw.config.problems import ConfigError, ConfigErrors, Origin

__all__ = [
    "ConfigError",
    "ConfigErrors",
    "DemoSection",
    "DiscoverySection",
    "FieldMatch",
    "GatewayConfig",
    "GatewaySection",
    "ListenEndpoint",
    "ListenerSection",
    "Origin",
    "PathPattern",
    "PeerAddress",
    "RouteSection",
    "RouteTimeouts",
    "ServiceSection",
    "ServiceTimeouts",
    "ServiceTls",
    "load",
    "show",
]
