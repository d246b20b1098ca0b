"""From one configuration to all that answers requests by it: services, stages, routes, the admin listener's places."""

from __future__ import annotations

from apigw.wiring.around import Around
from apigw.wiring.wiring import Wiring

__all__ = ["Around", "Wiring"]
