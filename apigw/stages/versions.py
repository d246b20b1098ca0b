"""Tells services and clients of the version of an API, and ends old ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from apigw.errors import ContractRefused, GatewayError, VersionBrownout, VersionGone
from apigw.messages import Exchange, Response, field_value
from apigw.pipeline import Explained, Stage
from apigw.policy.callers import Callers
from apigw.policy.versions import Life

AGENT = 120
"""Characters of a User-Agent that are remembered."""

DATES = (b"deprecation", b"sunset")
"""Fields of which an answer has one; the gateway's own stand in place of a service's."""


class VersionCalls:
    """
    How often versions are called, and by whom old ones are.

    :param epoch: seconds since 1970.

    :ivar counts: by version and route.
    :ivar callers: of old ones, by version.
    """

    def __init__(self, epoch: Callable[[], float]) -> None:
        self._epoch = epoch
        self.counts: Counter[tuple[str, str]] = Counter()
        self.callers: dict[str, Callers] = {}

    def requests(self, version: str) -> int:
        """How many there were for a version, on all routes."""
        return sum(count for (of, _), count in self.counts.items() if of == version)

    def called(self, exchange: Exchange, version: str, old: bool) -> None:
        route = "" if exchange.route is None else exchange.route.name
        self.counts[version, route] += 1
        if old:
            agent = (field_value(exchange.request.fields, b"user-agent") or b"")[:AGENT].decode("latin-1")
            callers = self.callers.setdefault(version, Callers())
            callers.called(_who(exchange), self._epoch(), route, agent)


def _who(exchange: Exchange) -> str:
    identity = exchange.identity
    if identity is not None and identity.consumer:
        return f"consumer {identity.consumer}"
    if exchange.principal is not None:
        return f"user {exchange.principal}"
    return f"ip {exchange.client_ip}"


class Versioned(Stage):
    """
    :param lives: of the versions of which something is said.
    :param own: the version of a route that is for one alone; empty for those that exchanges name.
    :param vary: names of fields that versions stand in.
    """

    pure = True

    def __init__(
        self,
        lives: Mapping[str, Life],
        calls: VersionCalls,
        epoch: Callable[[], float],
        own: str = "",
        vary: Sequence[str] = (),
    ) -> None:
        self._lives = lives
        self._told = {version: life.lines() for version, life in lives.items()}
        self._calls = calls
        self._epoch = epoch
        self._own = own
        self._vary = ", ".join(vary).encode("ascii")

    def facts(self, exchange: Exchange) -> dict[str, object]:
        return {"version": self._own or exchange.version}

    def request(self, exchange: Exchange) -> None:
        """:raises GatewayError: the version isn't there any more, or not now."""
        version = self._own or exchange.version
        if not version:
            return
        exchange.lines += b"X-Api-Version: %b\r\n" % version.encode("ascii")
        life = self._lives.get(version)
        if life is None:
            return
        now = self._epoch()
        if life.gone(now):
            raise VersionGone(f"Version {version} has ended.")
        left = life.brown(now)
        if left:
            raise VersionBrownout(
                f"Version {version} will end. It doesn't answer for a while, so that who still uses it notices.",
                retry_after=left,
            )

    def response(self, exchange: Exchange, response: Response) -> None:
        told = self._told.get(self._own or exchange.version)
        if told:
            if any(name.lower() in DATES for name, _ in response.seen):
                response.fields = [one for one in response.fields if one[0].lower() not in DATES]
            response.lines += told
        if self._vary:
            response.lines += b"Vary: %b\r\n" % self._vary

    def done(self, exchange: Exchange) -> None:
        version = self._own or exchange.version
        if version and exchange.request.method != b"OPTIONS":  # a browser's question for leave is no call
            life = self._lives.get(version)
            self._calls.called(exchange, version, life is not None and life.old)


class ContractVersion(Stage):
    """
    Refuses requests by the version of the contract that their sender was built for.

    :param name: of the field, as it is written. :param known: versions that are served.
    :param required: refuse requests without the field, too.
    """

    pure = True

    def __init__(self, name: str, known: Sequence[str], required: bool) -> None:
        self._name = name
        self._field = name.lower().encode("ascii")
        self._known = frozenset(version.encode("ascii") for version in known)
        self._listed = ", ".join(known)
        self._required = required

    def explain(self, exchange: Exchange) -> Explained:
        try:
            self.request(exchange)
        except GatewayError as error:
            return Explained({"field": self._name}, error)
        return Explained({"field": self._name})

    def request(self, exchange: Exchange) -> None:
        """:raises ContractRefused: it is none of those that are served."""
        value = field_value(exchange.request.fields, self._field)
        if value is None:
            if self._required:
                raise ContractRefused(f"{self._name} is missing. Served are: {self._listed}.")
        elif value.strip() not in self._known:
            raise ContractRefused(f"{self._name} names a version that is not served. Served are: {self._listed}.")
