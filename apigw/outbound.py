"""For the gateway's own requests, such as health checks and the fetching of keys; clients' requests go by upstream/."""

from __future__ import annotations

from typing import Any

from twisted.web.client import HTTPConnectionPool


class _QuietFactory(HTTPConnectionPool._factory):  # type: ignore[misc,valid-type]
    noisy = False


class OneTimeConnections(HTTPConnectionPool):
    """None is kept, and the log has no two lines for each."""

    _factory = _QuietFactory

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, persistent=False)
