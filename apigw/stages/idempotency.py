"""Does what a client asks for with one idempotency key once, and gives everybody who asks again the same answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from apigw.errors import (
    AnswerNotKept,
    ClaimsFull,
    ClaimsUnavailable,
    ClientError,
    GatewayError,
    KeyReused,
    KeyUnderWay,
    without_frames,
)
from apigw.messages import Exchange, Response, field_values
from apigw.pipeline import Across
from apigw.policy.fields import CREDENTIALS, FOLD
from apigw.policy.idempotency import (
    CLAIM,
    DONE,
    FINGERPRINT,
    NOT_KEPT,
    SAFE,
    UNKEPT,
    Answer,
    BadKey,
    dump,
    fingerprint,
    load,
    parse_key,
    place,
)
from apigw.policy.ip_lists import client_key
from apigw.stages.kept_body import AnswerBody, forget_request, keep_answer, keep_request
from apigw.stages.pieces import PIECE, Pieces
from apigw.stages.room import Held, Room
from apigw.task import Awaited, Task

LEASE = 6.0
"""Seconds after which a claim is free whose gateway doesn't renew it any more, since it died."""

MAX_BODY = 1024**2
"""Bytes of a request, and of an answer, that are kept."""

CAPACITY = 64 * 1024**2
"""Bytes that requests with keys, and their answers, may have in memory at once in a process."""

EACH = 8192
"""Bytes that a request under way takes without its body."""

PAUSES = (0.02, 0.25)
"""Seconds between looks whether another gateway has its answer: the first and the longest."""

AGAIN = 0.5
"""Seconds between attempts to keep an answer that the store doesn't take."""

REPLAYED = (b"Idempotency-Replayed", b"true")


class Answers(Protocol):
    """Where claims and answers are kept; see :class:`apigw.state.answers.LocalAnswers`. Each may fail."""

    async def claim(self, place: str, value: bytes, lease: float) -> bytes | None: ...
    async def renew(self, place: str, value: bytes, lease: float) -> None: ...
    async def finish(self, place: str, value: bytes, record: bytes, lifetime: float) -> None: ...
    async def release(self, place: str, value: bytes) -> None: ...


@frozen
class _Landed:
    """
    :ivar first: what whoever asked first gets.
    :ivar others: what everybody else gets; None for an answer that was too large.
    :ivar held: counts its bytes.
    """

    first: Response
    others: Answer | None
    held: Held | None


@define(eq=False)
class _Flight:
    """A request that is under way in this process, those who wait for its answer, and what that is."""

    fingerprint: bytes
    waiting: dict[Awaited[_Landed], None] = field(factory=dict)
    outcome: _Landed | Failure | None = None

    def wait(self) -> Awaited[_Landed]:
        waiter: Awaited[_Landed] = Awaited()
        if self.outcome is not None:
            waiter.callback(self.outcome)
        else:
            self.waiting[waiter] = None
        return waiter

    def leave(self, waiter: Awaited[_Landed]) -> None:
        """It waits no longer."""
        self.waiting.pop(waiter, None)

    def land(self, outcome: _Landed | Failure) -> None:
        self.outcome = outcome
        waiting, self.waiting = self.waiting, {}
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(outcome)


@frozen
class Claims:
    """
    What all routes with keys share.

    :ivar token: from chance, another one for each claim.
    :ivar seconds: monotonic.
    :ivar room: for what is under way: bodies of requests, and answers until all who wait have them.
    """

    answers: Answers
    clock: IReactorTime
    seconds: Callable[[], float]
    token: Callable[[], bytes]
    flights: dict[str, _Flight] = field(factory=dict)
    room: Room = field(factory=lambda: Room("idempotency keys", CAPACITY))


class _Renewal:
    """Renews a claim until it is stopped."""

    _log = Logger()

    def __init__(self, claims: Claims, where: str, value: bytes) -> None:
        self._claims = claims
        self._where = where
        self._value = value
        self._call = claims.clock.callLater(LEASE / 3, self._due)

    def stop(self) -> None:
        self._call.cancel()

    def _due(self) -> None:
        self._call = self._claims.clock.callLater(LEASE / 3, self._due)
        Task(self._renew())

    async def _renew(self) -> None:
        try:
            await self._claims.answers.renew(self._where, self._value, LEASE)
        except Exception as error:
            self._log.warn("a claim of an idempotency key can't be renewed: {error}", error=error)


class Once:
    """
    What a route has across, with keys. A client that goes away doesn't stop what it has begun: it finds the answer when
    it asks again.

    :param lifetime: seconds that an answer is kept.
    :param patience: seconds that a request waits for the answer to an earlier one with its key.
    """

    _log = Logger()

    def __init__(self, across: Across, claims: Claims, lifetime: float, patience: float) -> None:
        self._across = across
        self._claims = claims
        self._answers = claims.answers
        self._lifetime = lifetime
        self._patience = patience

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        request = exchange.request
        if request.method in SAFE:
            return self._across(exchange)
        values = field_values(request.fields, b"idempotency-key") + field_values(request.fields, b"x-idempotency-key")
        try:
            key = parse_key(values)
        except BadKey as wrong:
            raise ClientError(str(wrong), code="idempotency-key-invalid") from None
        return self._across(exchange) if key is None else self._once(exchange, key)

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """What is across otherwise, where that can be explained."""
        explain = getattr(self._across, "explain", None)
        found: dict[str, Any] = {} if explain is None else explain(exchange)
        return found

    async def _once(self, exchange: Exchange, key: bytes) -> Response:
        request = exchange.request
        held = self._claims.room.hold()
        if not held.grow(EACH):
            raise ClaimsFull(retry_after=1)
        body = await keep_request(exchange, MAX_BODY, held=held)
        told = fingerprint(request.method, request.authority.lower(), request.target, body, _credentials(exchange))
        del body
        where = place(_whose(exchange), key)
        flights = self._claims.flights
        flight = flights.get(where)
        if flight is None:
            flight = flights[where] = _Flight(told)
            waiter = flight.wait()
            exchange.repeatable = True
            Task(self._fly(flight, where, exchange, held))
            del held
            return (await waiter).first
        del held
        forget_request(exchange)
        if flight.fingerprint != told:
            raise KeyReused
        waiter = flight.wait()
        late = self._claims.clock.callLater(self._patience, _too_long, waiter)
        try:
            landed = await waiter
        finally:
            if late.active():
                late.cancel()
            flight.leave(waiter)
        if landed.others is None or landed.held is None:
            raise AnswerNotKept
        return _replay(landed.others, landed.held)

    async def _fly(self, flight: _Flight, where: str, exchange: Exchange, held: Held) -> None:
        """
        Get the answer, from who has it or from the service, to all who wait for it here.

        :param held: counts the request for as long as this takes, whether its client waits or not.
        """
        [first] = flight.waiting
        value = flight.fingerprint + CLAIM + self._claims.token()
        outcome: _Landed | Failure
        record = b""
        try:
            kept = await self._claim(where, value, flight.fingerprint)
            if kept is not None:
                found = self._claims.room.hold()
                if not found.grow(kept.size):
                    raise ClaimsFull(retry_after=1)
                outcome = _Landed(_replay(kept, found), kept, found)
            else:
                outcome, record = await self._ask(where, value, exchange)
        except GatewayError as error:
            without_frames(error)
            outcome = Failure(error)
        except Exception:
            self._log.failure(
                "what has an idempotency key failed on request {request_id}", request_id=exchange.id.decode()
            )
            outcome = Failure(ClaimsUnavailable())
        copy = self._claims.room.hold(len(record))
        # Kept before anybody sees it, as far as the store lets us: whoever has the answer can rely on it.
        kept_it = not record or await self._keep(where, value, record)
        body = outcome.first.body if isinstance(outcome, _Landed) else b""
        if isinstance(body, AnswerBody) and first.called:
            body.discard()
        flight.land(outcome)
        until = self._claims.seconds() + self._lifetime
        while not kept_it and self._claims.seconds() < until:
            await deferLater(self._claims.clock, AGAIN)
            kept_it = await self._keep(where, value, record)
        del self._claims.flights[where], held, copy

    async def _claim(self, where: str, value: bytes, told: bytes) -> Answer | None:
        """
        :return: the answer that there is; None if it is for us to get it.
        :raises GatewayError: the key is used for something else, for too long, or the store can't be asked.
        """
        seconds = self._claims.seconds
        until = seconds() + self._patience
        pause = PAUSES[0]
        while True:
            try:
                found = await self._answers.claim(where, value, LEASE)
            except Exception as error:
                self._log.warn("idempotency keys can't be looked up: {error}", error=error)
                raise ClaimsUnavailable(retry_after=1) from None
            if found is None or found == value:
                return None
            if found[:FINGERPRINT] != told:
                raise KeyReused
            kind, rest = found[FINGERPRINT : FINGERPRINT + 1], found[FINGERPRINT + 1 :]
            if kind == DONE:
                return load(rest)
            if kind == UNKEPT:
                raise AnswerNotKept
            if seconds() >= until:
                raise KeyUnderWay(retry_after=1)
            await deferLater(self._claims.clock, pause)
            pause = min(pause * 2, PAUSES[1])

    async def _ask(self, where: str, value: bytes, exchange: Exchange) -> tuple[_Landed, bytes]:
        """
        Let the service answer.

        :return: the answer, and what is to be kept of it.
        """
        renewal = _Renewal(self._claims, where, value)
        try:
            answer = self._across(exchange)
            response = answer if isinstance(answer, Response) else await answer
            held = self._claims.room.hold()
            body = await keep_answer(response, MAX_BODY, held)
        except Exception:
            renewal.stop()
            await self._release(where, value)
            raise
        renewal.stop()
        told = value[:FINGERPRINT]
        if response.status in NOT_KEPT:
            await self._release(where, value)
            told = b""
        if body is None:
            return _Landed(response, None, None), told and told + UNKEPT
        whole = Answer(response.status, response.reason, list(response.seen), response.lines, body, response.bodyless)
        return _Landed(_response(whole, held), whole, held), told and told + DONE + dump(whole)

    async def _keep(self, where: str, value: bytes, record: bytes) -> bool:
        try:
            await self._answers.finish(where, value, record, self._lifetime)
        except Exception as error:
            self._log.warn("an answer to an idempotency key can't be kept: {error}", error=error)
            return False
        return True

    async def _release(self, where: str, value: bytes) -> None:
        try:
            await self._answers.release(where, value)
        except Exception as error:
            self._log.warn("a claim of an idempotency key lasts for {lease} s: {error}", lease=LEASE, error=error)


def _whose(exchange: Exchange) -> str:
    """Keys of users, of consumers and of guests' addresses have nothing to do with each other."""
    who = exchange.identity
    if who is not None and who.consumer:
        return f"consumer {who.consumer}"
    if exchange.principal is not None:
        return f"user {exchange.user_key}"
    return f"ip {client_key(exchange.client_ip)}"


def _credentials(exchange: Exchange) -> list[bytes]:
    """What a guest shows to the service: others behind its address get nothing of it."""
    if exchange.identity is not None:
        return []
    request = exchange.request
    fields = [(name.translate(FOLD), value) for name, value in request.fields]
    shown = [part for field in fields if field[0] in CREDENTIALS for part in field]
    tls = request.client.tls
    if tls is not None and tls.certificate is not None:
        shown += [b"certificate", tls.certificate.fingerprint]
    return shown


def _too_long(waiter: Awaited[Any]) -> None:
    if not waiter.called:
        waiter.errback(Failure(KeyUnderWay(retry_after=1)))


def _response(answer: Answer, held: Held) -> Response:
    body = answer.body if len(answer.body) <= PIECE else Pieces(answer.body, held)
    response = Response(answer.status, answer.reason, list(answer.fields), body, len(answer.body), answer.bodyless)
    response.lines = answer.lines
    return response


def _replay(answer: Answer, held: Held) -> Response:
    response = _response(answer, held)
    response.fields.append(REPLAYED)
    return response
