"""A service: its peers, which of them gets the next request, and where requests wait when all are busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw.errors import CircuitOpen, UpstreamError, UpstreamUnavailable
from apigw.messages import Attempt, Exchange
from apigw.policy.balance import Candidate, Group
from apigw.policy.breaker import OPEN, REFUSED
from apigw.policy.outcome import ABANDONED, FAILED, OK
from apigw.policy.outlier import OutlierGroup, OutlierPolicy
from apigw.upstream.peer import Peer
from apigw.upstream.queue import WaitingLine
from apigw.upstream.response import PeerResponse
from apigw.upstream.send import Tried
from apigw.upstream.sticky import StickyPeers


class Upstream:
    """
    :param name: of the service.
    :param group: picks the peer of each request.
    :param clock: for the time in the queue.
    :param max_queue: requests that may wait for a connection.
    :param queue_timeout: seconds they may wait.
    :param outliers: when answers take a peer out of the choice; never without it.
    :param sticky: which peer a client had; nobody asks without it.

    :ivar freed: for the pools, to be called when a connection has become free.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        group: Group[Peer],
        clock: IReactorTime,
        seconds: Callable[[], float],
        max_queue: int,
        queue_timeout: float,
        outliers: OutlierPolicy | None = None,
        sticky: StickyPeers | None = None,
    ) -> None:
        self.name = name
        self.peers: Sequence[Peer] = ()
        self.sticky = sticky
        self._group = group
        self._seconds = seconds
        self.line = WaitingLine(clock, max_queue, queue_timeout)
        self.freed = self.line.wake
        self._clock = clock
        self._outliers: OutlierGroup[Peer] = OutlierGroup(outliers or OutlierPolicy(0, 0), self._ejected)
        self._return: IDelayedCall | None = None
        self._only: Candidate[Peer] | None = None
        self._now = 0.0
        self._permit = REFUSED

    # -- what changes seldom -----------------------------------------------------------------------------------------

    def replace(self, peers: Sequence[Peer]) -> None:
        """Use these peers from now on; those that go end what they are at."""
        before, after = set(self.peers), set(peers)
        self.peers = tuple(peers)
        for peer in after - before:
            peer.watched = self._outliers.watch(peer)
        self._regroup()
        if self.sticky is not None:
            self.sticky.replace(peer.candidate for peer in peers)
        for peer in before - after:
            if peer.watched is not None:
                self._outliers.forget(peer.watched)
            peer.pool.close()

    def drain(self, peer: Peer) -> None:
        """Send no new requests to a peer, whatever becomes of the others; those under way end as they would."""
        self._set_drained(peer, True)

    def restore(self, peer: Peer) -> None:
        """Let a drained peer have requests again; slow start begins with it."""
        self._set_drained(peer, False)
        breaker = peer.breaker
        if breaker.state == OPEN:
            now = self._seconds()
            self._group.probe(peer.candidate, now + breaker.retry_after(now))

    def _set_drained(self, peer: Peer, drained: bool) -> None:
        if peer.drained != drained:
            peer.drained = drained
            peer.candidate.available = peer.fit
            self._regroup()
            self._log.info(
                "service {service}: {peer} is {state}",
                service=self.name,
                peer=peer.label,
                state="drained" if drained else "restored",
            )

    def _regroup(self) -> None:
        """Not by its fitness alone: where few are fit the group takes them all."""
        self._group.replace([peer.candidate for peer in self.peers if not peer.drained], self._seconds())
        self._find_only()

    def fitness_changed(self, peer: Peer) -> None:
        """A peer became healthy, unhealthy or ejected, or came back."""
        self._group.set_available(peer.candidate, peer.fit, self._seconds())
        self._find_only()

    def _find_only(self) -> None:
        """Where there is one peer and it is fit, nobody has to choose."""
        peers = self.peers
        self._only = peers[0].candidate if len(peers) == 1 and peers[0].candidate.available else None

    def _ejected(self, peer: Peer) -> None:
        assert peer.watched is not None
        peer.ejections += 1
        self._log.warn(
            "service {service}: {peer} is ejected for its answers, for the {times}. time",
            service=self.name,
            peer=peer.label,
            times=peer.watched.ejections,
        )
        self.fitness_changed(peer)
        self._schedule_return()

    def _schedule_return(self) -> None:
        due = self._outliers.next_due()
        if self._return is not None and self._return.active():
            self._return.cancel()
        self._return = None
        if due is not None:
            self._return = self._clock.callLater(max(0.0, due - self._seconds()), self._returned)

    def _returned(self) -> None:
        for peer in self._outliers.due(self._seconds()):
            self._log.info("service {service}: {peer} is back", service=self.name, peer=peer.label)
            self.fitness_changed(peer)
        self._schedule_return()

    def breaker_changed(self, peer: Peer, before: str, after: str) -> None:
        """For the breakers: an open one needs a probe in time, whatever the balancer thinks of the peer."""
        peer.transitions[after] += 1
        self._log.info(
            "service {service}: the breaker of {peer} went from {before} to {after}",
            service=self.name,
            peer=peer.label,
            before=before,
            after=after,
        )
        if after == OPEN:
            now = self._seconds()
            self._group.probe(peer.candidate, now + peer.breaker.retry_after(now))

    def close(self) -> None:
        """Take no more work; connections end as they become idle."""
        self._stop_timers()
        for peer in self.peers:
            peer.pool.close()

    def abort(self) -> None:
        """Cut all connections."""
        self._stop_timers()
        for peer in self.peers:
            peer.pool.abort()

    def _stop_timers(self) -> None:
        if self._return is not None and self._return.active():
            self._return.cancel()

    @property
    def group(self) -> Group[Peer]:
        """The choice among its peers, to be looked at."""
        return self._group

    def askable(self, now: float) -> bool:
        """Some peer is fit, and its breaker lets a request pass."""
        panicking = self._group.panicking
        return any(
            (peer.candidate.available or panicking) and not peer.drained and peer.breaker.ready(now)
            for peer in self.peers
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self.line.waiting)

    # -- each request --------------------------------------------------------------------------------------------------

    async def request(
        self,
        exchange: Exchange,
        attempt: Attempt,
        target: bytes,
        has_host: bool,
        lines: bytes,
        key: bytes | None = None,
        tried: Tried = (),
    ) -> PeerResponse:
        """As :class:`~apigw.upstream.send.Send` has it."""
        wanted = None if self.sticky is None else self.sticky.wanted(exchange)
        peer = None if self.line.waiting else self._pick(attempt.begun, key, tried, wanted)
        while peer is None:
            begun = self._seconds()
            try:
                await self.line.join(attempt.queued)
            finally:
                attempt.queued += self._seconds() - begun
            try:
                peer = self._pick(self._seconds(), key, tried, wanted)
            except UpstreamError:
                # What stops this one stops the next in line too: it shall hear of it now, not when its time is over.
                self._clock.callLater(0.0, self.line.wake)
                raise
        permit = self._permit
        begun = self._now
        attempt.peer = peer.label
        attempt.candidate = peer.candidate
        if not has_host:
            lines = b"Host: %b\r\n%b" % (peer.authority, lines)
        request = exchange.request
        outcome = ABANDONED
        reason = ""
        response: PeerResponse | None = None
        try:
            response = await peer.client.request(
                request.method, peer.origin + target, headers=lines, data=request.body, attempt=attempt
            )
            outcome = FAILED if response.status >= 500 else OK
            return response
        except UpstreamError as error:
            outcome, reason = FAILED, error.reason
            raise
        finally:
            now = self._seconds() if response is None else attempt.first_byte
            elapsed = now - begun
            if response is None or response.ended:
                self._ended(peer, permit, now, elapsed, outcome, reason)
            else:
                if not peer.breaker.closed:
                    # A probe has shown what it can with its head; its body may stream for hours.
                    peer.breaker.report(permit, now, outcome, elapsed)
                    permit = REFUSED
                response.on_end = partial(self._body_ended, peer, permit, elapsed, outcome)

    def _body_ended(self, peer: Peer, permit: int, elapsed: float, outcome: int, failure: Failure) -> None:
        """A body that streamed has ended, or was cut; by then the breaker counts the call."""
        error = failure.value
        if isinstance(error, UpstreamError):
            self._ended(peer, permit, self._seconds(), elapsed, FAILED, error.reason)
        else:
            self._ended(peer, permit, self._seconds(), elapsed, outcome, "")

    def _ended(self, peer: Peer, permit: int, now: float, elapsed: float, outcome: int, reason: str) -> None:
        """
        Tell all who keep an eye on the peer.

        :param elapsed: seconds to the head of the answer, or to the failure.
        :param reason: of the failure, where there was no whole answer.
        """
        breaker, watched = peer.breaker, peer.watched
        breaker.report(permit, now, outcome, elapsed)
        if not breaker.closed and breaker.ready(now):
            # Half open: the next probe follows this one, whether or not the balancer likes the peer.
            self._group.probe(peer.candidate, now)
        if watched is not None and outcome != ABANDONED:
            if reason or outcome == FAILED:
                watched.failed(reason or "status", now)
            else:
                watched.answered(200, now)
        self._group.done(peer.candidate, now, elapsed, outcome)

    def _pick(self, now: float, key: bytes | None, tried: Tried, wanted: Candidate[Peer] | None) -> Peer | None:
        """
        :param wanted: the one that a cookie names.
        :return: a peer, with a permit of its breaker in ``_permit``; None while all connections are in use.
        :raises UpstreamUnavailable: no peer is known or fit; :class:`CircuitOpen`: all breakers are open.
        """
        self._now = now
        if wanted is not None and wanted.available and wanted not in tried and self._usable(wanted):
            self._group.take(wanted, now)
            return wanted.peer
        only = self._only
        if only is not None:
            if self._usable(only):
                self._group.take(only, now)
                return only.peer
        else:
            candidate = self._group.pick(now, self._usable, key, tried)
            if candidate is not None:
                return candidate.peer
        if not self.peers:
            raise UpstreamUnavailable(f"No address is known for the service {self.name}.", retry_after=1.0)
        fit = [peer for peer in self.peers if peer.candidate.available or (self._group.panicking and not peer.drained)]
        if not fit:
            raise UpstreamUnavailable(f"No peer of the service {self.name} is healthy.", retry_after=1.0)
        wait = min(peer.breaker.retry_after(now) for peer in fit)
        if wait > 0.0:
            raise CircuitOpen(f"The service {self.name} fails and is given a rest.", retry_after=wait)
        return None

    def _usable(self, candidate: Candidate[Peer]) -> bool:
        peer = candidate.peer
        pool = peer.pool
        if not pool.idle and pool.full:
            return False
        self._permit = peer.breaker.admit(self._now)
        return self._permit != REFUSED
