"""A worker's end of the connection to its supervisor."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from apigw.config import ConfigErrors
from apigw.reload import CannotStart, Commit
from apigw.workers import commands
from apigw.workers.passing import text_of


class Worked(Protocol):
    """What a supervisor may tell a gateway to do."""

    def know(self, lines: str) -> None: ...

    def accept(self) -> None: ...

    def check(self) -> None: ...

    def told(self, service: str, peer: str, healthy: bool, reason: str) -> None: ...

    def reopen(self) -> None: ...

    def listen(self, where: str, descriptor: int) -> None: ...

    async def prepare(self, text: str) -> Commit: ...

    def lost(self) -> None: ...


class Control(amp.AMP):
    """:param gateway: does what is asked for."""

    _log = Logger()

    def __init__(self, gateway: Worked) -> None:
        super().__init__()
        self._gateway = gateway
        self._commit: Commit | None = None

    def verdict(self, service: str, peer: str, healthy: bool, reason: str) -> None:
        """Tell the others."""
        if self.transport is not None:
            self.callRemote(
                commands.Verdict,
                service=service,
                peer=peer,
                healthy=healthy,
                reason=reason[: commands.MAX_REASON],
            )

    def revoked(self, lines: str) -> None:
        """Tell the supervisor."""
        if self.transport is not None:
            self.callRemote(commands.Revoked, lines=lines)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The supervisor is no more: nobody would replace this process, nor stop it."""
        super().connectionLost(reason)
        self._gateway.lost()

    @commands.Know.responder
    def _know(self, lines: int) -> dict[str, Any]:
        try:
            self._gateway.know(text_of(lines))
        finally:
            os.close(lines)
        return {}

    @commands.Accept.responder
    def _accept(self) -> dict[str, Any]:
        self._gateway.accept()
        return {}

    @commands.Check.responder
    def _check(self) -> dict[str, Any]:
        self._gateway.check()
        return {}

    @commands.Verdict.responder
    def _told(self, service: str, peer: str, healthy: bool, reason: str) -> dict[str, Any]:
        self._gateway.told(service, peer, healthy, reason)
        return {}

    @commands.Reopen.responder
    def _reopen(self) -> dict[str, Any]:
        self._gateway.reopen()
        return {}

    @commands.Listen.responder
    def _listen(self, where: str, socket: int) -> dict[str, Any]:
        self._gateway.listen(where, socket)
        return {}

    @commands.Prepare.responder
    def _prepare(self, text: int) -> Deferred[dict[str, Any]]:
        try:
            read = text_of(text)
        finally:
            os.close(text)
        return Deferred.fromCoroutine(self._prepared(self._gateway.prepare, read))

    async def _prepared(self, prepare: Callable[[str], Awaitable[Commit]], text: str) -> dict[str, Any]:
        try:
            self._commit = await prepare(text)
        except (ConfigErrors, CannotStart) as wrong:
            return {"reason": str(wrong)[: commands.MAX_REASON]}
        except Exception as failed:
            self._log.failure("reload")
            return {"reason": f"{type(failed).__name__}: {failed}"[: commands.MAX_REASON]}
        return {"reason": ""}

    @commands.Commit.responder
    def _committed(self) -> dict[str, Any]:
        commit, self._commit = self._commit, None
        if commit is not None:
            commit.take()
        return {}

    @commands.Abandon.responder
    def _abandoned(self) -> dict[str, Any]:
        commit, self._commit = self._commit, None
        if commit is not None:
            commit.give_up()
        return {}

    @commands.Ping.responder
    def _ping(self) -> dict[str, Any]:
        return {}
