"""How much the gateway's own log tells: by namespace, and changed while it runs."""

from __future__ import annotations

from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    InvalidLogLevelError,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    PredicateResult,
)
from zope.interface import provider

from apigw.config.model import LEVELS

ALWAYS = "apigw.admin"
"""What is told at any level: what operators do."""


@provider(ILogFilterPredicate)
def _relayed(event: LogEvent) -> Any:
    """Whether it comes from a worker, which has decided by itself."""
    return PredicateResult.yes if "worker" in event else PredicateResult.maybe


class LogLevels:
    """
    :param publisher: whose observers hear of less from :meth:`install` on.
    :param level: what holds until somebody says otherwise.

    :ivar default: the level of namespaces that have none of their own.
    """

    def __init__(self, publisher: LogPublisher, level: str = "debug") -> None:
        self._publisher = publisher
        self._predicate = LogLevelFilterPredicate(LogLevel.levelWithName(level))
        self._predicate.setLogLevelForNamespace(ALWAYS, LogLevel.debug)
        self._instead: dict[ILogObserver, ILogObserver] = {}
        self._set: dict[str, str] = {}
        self.default = level

    def install(self) -> None:
        """Stand before the observers that there are."""
        for observer in list(self._publisher._observers):
            filtered = FilteringLogObserver(observer, [_relayed, self._predicate])
            self._instead[observer] = filtered
            self._publisher.removeObserver(observer)
            self._publisher.addObserver(filtered)

    def uninstall(self) -> None:
        for observer, filtered in self._instead.items():
            self._publisher.removeObserver(filtered)
            self._publisher.addObserver(observer)
        self._instead.clear()

    def set(self, level: str, namespace: str = "") -> None:
        """
        :param level: one of :data:`LEVELS`.
        :param namespace: such as ``apigw.upstream``, with all below it; empty for all.
        :raises ValueError: there is no such level, or the namespace is one that is always told.
        """
        if namespace == ALWAYS or namespace.startswith(f"{ALWAYS}."):
            raise ValueError(f"{ALWAYS} is always told")
        try:
            constant = LogLevel.levelWithName(level)
        except InvalidLogLevelError:
            raise ValueError(f"{level!r} is none of {', '.join(LEVELS)}") from None
        if namespace:
            self._set[namespace] = level
        else:
            self.default = level
        self._predicate.setLogLevelForNamespace(namespace, constant)

    @property
    def namespaces(self) -> dict[str, str]:
        """Those with a level of their own."""
        return dict(self._set)
