"""Which versions of the API there are, and who still calls those that are to end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from apigw.admin.operations import Asked, Operation
from apigw.config import GatewayConfig
from apigw.config.versioning import render_moment
from apigw.policy.callers import CALLERS, Caller, Callers
from apigw.policy.versions import Life

if TYPE_CHECKING:
    from apigw.stages.versions import VersionCalls

GIVES = {
    "type": "object",
    "required": ["versions"],
    "properties": {
        "versions": {
            "type": "array",
            "items": {"type": "object", "required": ["version", "state", "requests", "callers"]},
        }
    },
}


class VersionsView:
    """
    :param calls: None where versions have no names.
    :param epoch: seconds since 1970.
    """

    def __init__(self, config: GatewayConfig, calls: VersionCalls | None, epoch: Callable[[], float]) -> None:
        self._known = config.known_versions
        self._lives = {version.name: version.life for version in config.versions}
        self._calls = calls
        self._epoch = epoch

    def operations(self) -> Iterable[Operation]:
        yield Operation(
            "GET",
            "/api/versions",
            f"Versions of the API, and for each that is to end who called it last, of {CALLERS} that are kept.",
            self.versions,
            GIVES,
        )

    def versions(self, _: Asked) -> dict[str, Any]:
        return {"versions": [self._version(version) for version in self._known]}

    def _version(self, version: str) -> dict[str, Any]:
        assert self._calls is not None
        life = self._lives.get(version) or Life(version)
        callers = self._calls.callers.get(version) or Callers()
        return {
            "version": version,
            "state": life.state(self._epoch()),
            "deprecated": _moment(life.deprecated),
            "sunset": _moment(life.sunset),
            "link": life.link,
            "requests": self._calls.requests(version),
            "first": _moment(callers.first or None),
            "callers": [_caller(caller) for caller in callers],
        }


def _caller(caller: Caller) -> dict[str, Any]:
    return {
        "who": caller.who,
        "requests": caller.count,
        "last": render_moment(caller.last),
        "route": caller.route,
        "agent": caller.agent,
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else render_moment(seconds)
