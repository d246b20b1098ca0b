"""A shared cache between clients and a service (RFC 9111): what a route with ``cache`` has across."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from email.utils import formatdate
from functools import partial
from typing import Any, Protocol, cast

from attrs import define, field, frozen
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.logger import Logger

from apigw.errors import GatewayError, NotCached, UpstreamError
from apigw.http1.fields import wire_lines
from apigw.messages import Exchange, Field, Fields, Outlet, Request, Response, field_value
from apigw.pipeline import Across, Stage
from apigw.policy.cache import status
from apigw.policy.cache.directives import parse_date
from apigw.policy.cache.store import Entry, Select, Space, Store, Uri
from apigw.policy.cache.terms import (
    FAILED,
    Rules,
    Terms,
    Use,
    Wishes,
    initial_age,
    terms,
    use,
    use_on_error,
    varying_on,
    wishes,
)
from apigw.policy.cache.uris import SAFE, invalidated, uri_of
from apigw.policy.cache.validators import (
    CONDITIONS,
    FOR_THE_SERVICE,
    asking_again,
    confirms,
    freshened,
    has_it,
    not_modified,
)
from apigw.policy.fields import CREDENTIALS, FOLD, IDENTITY, IDENTITY_PREFIXES, OVERRIDING
from apigw.stages.cache_body import CopiedBody, Nobody
from apigw.task import Awaited, Task

READS = (b"GET", b"HEAD")

PATIENCE = 5.0
"""Seconds that a request waits for the answer to another one; past it it asks by itself."""

APART = 10.0
"""Seconds for which nobody waits for an answer of which it is known that it can't be shared."""

MARKS = 10_000
"""Of how many that is remembered."""

TURNS = 3
"""How often a request waits for others before it asks by itself."""

_DATED = (b"date", b"age", b"content-length")


@frozen
class _Said:
    """What a request's fields say. :ivar passes: only the service can answer it."""

    wishes: Wishes
    passes: bool
    personal: bool


@define(eq=False)
class _Flight:
    """A request to the service, and those who wait for its answer. :ivar void: what comes isn't true any more."""

    begun: float
    void: bool = False
    waiting: list[Awaited[bool]] = field(factory=list)

    def land(self, again: bool) -> None:
        """:param again: whoever waits should look again; else it should ask by itself."""
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(again)


class Sharing(Protocol):
    """A cache behind this one, which other processes use too."""

    async def find(self, uri: Uri, space: Space, select: Select) -> Entry | None: ...

    def put(self, entry: Entry) -> None: ...

    def forget(self, uri: Uri) -> None: ...

    def purge(self, **conditions: object) -> None: ...


class ResponseCache:
    """
    What all routes of a process keep.

    :param capacity: bytes in all. :param largest: bytes of one body.
    :param seconds: monotonic. :param epoch: seconds since 1970.
    :param name: in Cache-Status.

    :ivar shared: what others keep too; None where there are no others.
    :ivar counts: of requests, by route and by what they got: ``hit``, ``shared``, ``stale``, ``revalidated``,
        ``collapsed``, ``miss`` or ``bypass``.
    """

    def __init__(
        self,
        capacity: int,
        largest: int,
        clock: IReactorTime,
        seconds: Callable[[], float],
        epoch: Callable[[], float],
        name: bytes = b"apigw",
    ) -> None:
        self.store = Store(capacity)
        self.shared: Sharing | None = None
        self.largest = largest
        self.clock = clock
        self.seconds = seconds
        self.epoch = epoch
        self.name = name
        self.counts: Counter[tuple[str, str]] = Counter()
        self._flights: dict[object, _Flight] = {}
        self._under_way: dict[Uri, set[_Flight]] = {}
        self._apart: OrderedDict[int, float] = OrderedDict()

    def resize(self, capacity: int, largest: int) -> None:
        """Keep more or less from now on; bytes."""
        self.store.capacity = capacity
        self.largest = largest
        self.store.shrink(capacity)

    def purge(
        self, host: str | None = None, path: str | None = None, prefix: bool = False, route: str | None = None
    ) -> int:
        """
        Keep no more what all conditions hold for; all of it without any. What is under way isn't kept either.

        :param host: as clients name it, without a default port.
        :param path: raw, with the query; with ``prefix`` all that begins with it.
        :return: how many answers that were.
        """
        if self.shared is not None:
            self.shared.purge(host=host, path=path, prefix=prefix, route=route)
        return self.drop(host, path, prefix, route)

    def drop(
        self, host: str | None = None, path: str | None = None, prefix: bool = False, route: str | None = None
    ) -> int:
        """As :meth:`purge`, in this process alone."""
        wanted_host = None if host is None else uri_of(host.encode("latin-1", "replace"), b"")[0]
        wanted = None if path is None else path.encode("latin-1", "replace")

        def meant(uri: Uri) -> bool:
            return (wanted_host is None or uri[0] == wanted_host) and (
                wanted is None or (uri[1].startswith(wanted) if prefix else uri[1] == wanted)
            )

        for uri, flights in self._under_way.items():
            if meant(uri):
                for flight in flights:
                    flight.void = True
        return self.store.drop_all(
            [entry for entry in self.store if meant(entry.uri) and (route is None or entry.space[0] == route)]
        )

    def invalidate(self, exchange: Exchange, response: Response) -> None:
        """Keep no more what isn't true after a request that has changed something (RFC 9111 section 4.4)."""
        request = exchange.request
        uri = uri_of(request.authority, request.path + request.query)
        for gone in invalidated(request.method, response.status, uri, response.seen):
            self.forget(gone)
            if self.shared is not None:
                self.shared.forget(gone)

    def forget(self, uri: Uri) -> None:
        """It has changed; others know."""
        self.store.forget(uri)
        for flight in self._under_way.get(uri, ()):
            flight.void = True

    # -- flights -------------------------------------------------------------------------------------------------------

    def flight(self, place: object) -> _Flight | None:
        """The one under way there that is worth waiting for."""
        flight = self._flights.get(place)
        return None if flight is None or flight.begun + PATIENCE <= self.seconds() else flight

    def begin(self, uri: Uri, place: object) -> _Flight:
        """:param place: where others may wait for it; None for nowhere."""
        flight = _Flight(self.seconds())
        self._under_way.setdefault(uri, set()).add(flight)
        if place is not None:
            self._flights[place] = flight
        return flight

    def over(self, uri: Uri, place: object, flight: _Flight, again: bool) -> None:
        """The end of a flight, as :meth:`_Flight.land` has it."""
        there = self._under_way.get(uri)
        if there is not None:
            there.discard(flight)
            if not there:
                del self._under_way[uri]
        if self._flights.get(place) is flight:
            del self._flights[place]
        flight.land(again)

    async def wait(self, flight: _Flight) -> bool:
        """:return: whether to look again; else the request has to ask by itself."""
        waiter: Awaited[bool] = Awaited()
        flight.waiting.append(waiter)
        left = flight.begun + PATIENCE - self.seconds()
        late = self.clock.callLater(max(0.0, left), _too_late, waiter)
        try:
            return await waiter
        finally:
            if late.active():
                late.cancel()

    def mark(self, uri: Uri, space: Space, apart: bool) -> None:
        """Remember whether an answer can be shared."""
        key = hash((uri, space))  # in place of them, for clients make URIs long; if two are alike, one waits for nobody
        self._apart.pop(key, None)
        if apart:
            self._apart[key] = self.seconds() + APART
            if len(self._apart) > MARKS:
                self._apart.popitem(last=False)

    def marked(self, uri: Uri, space: Space) -> bool:
        """It was found of late that the answer can't be shared."""
        return bool(self._apart) and self._apart.get(hash((uri, space)), 0.0) > self.seconds()


def _too_late(waiter: Awaited[bool]) -> None:
    if not waiter.called:
        waiter.callback(False)


class Invalidation(Stage):
    """For routes that keep nothing themselves: what they change may be kept by others."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache

    def response(self, exchange: Exchange, response: Response) -> None:
        if exchange.request.method not in SAFE:
            self._cache.invalidate(exchange, response)


class Cached:
    """
    :param across: asks the service.
    :param route: its name.
    :param config: what else answers of the route depend on; they aren't used where it is another.
    :param renamed: old names of fields by those that the service knows, in lower case with hyphens.
    """

    _log = Logger()

    def __init__(
        self,
        across: Across,
        cache: ResponseCache,
        rules: Rules,
        route: str,
        config: object = None,
        *,
        renamed: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self._across = across
        self._cache = cache
        self._rules = rules
        self._route = route
        self._config = config
        self._renamed = dict(renamed or {})

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """What is across otherwise, where that can be explained."""
        explain = getattr(self._across, "explain", None)
        found: dict[str, Any] = {} if explain is None else explain(exchange)
        return found

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        request = exchange.request
        method = request.method
        if method not in READS:
            return self._across(exchange) if method in SAFE else self._change(exchange)
        said: _Said | None = request.notes.get(self)
        if said is None:
            said = request.notes[self] = _said(request.fields)
        if said.passes or request.body is not None:
            return self._pass(exchange)
        cache = self._cache
        uri = uri_of(request.authority, request.path + request.query)
        space = self._space(exchange)
        select = partial(selected, exchange, self._renamed)
        personal = said.personal or exchange.identity is not None or _certified(request)
        entry = _usable(cache.store.find(uri, space, select), personal)
        if entry is not None:
            answer = self._kept(exchange, entry, said, uri, space)
            if answer is not None:
                return answer
        if said.wishes.only_if_cached:
            raise NotCached("Nothing that the request would take is kept here.")
        if method == b"HEAD":
            return self._pass(exchange, b"stale" if entry is not None else b"uri-miss")
        return self._get(exchange, said, personal, uri, space, select, entry)

    def _space(self, exchange: Exchange) -> Space:
        asked = [value for name, value in exchange.forwarding if name in (b"X-Forwarded-Proto", b"X-Forwarded-Host")]
        return (self._route, self._config, exchange.version, *asked)

    # -- without the service -------------------------------------------------------------------------------------------

    def _kept(self, exchange: Exchange, entry: Entry, said: _Said, uri: Uri, space: Space) -> Response | None:
        """What is kept, if it may be given."""
        age = entry.at(self._cache.seconds())
        how = use(entry.terms, age, said.wishes)
        if how is Use.ASK:
            return None
        if how is Use.OLD:
            self._refresh(exchange, entry, uri, space)
        self._count("hit" if how is Use.FRESH else "stale")
        return self._give(exchange, entry, status.hit(self._cache.name, entry.terms.lifetime - age))

    def _give(self, exchange: Exchange, entry: Entry, line: bytes) -> Response:
        request = exchange.request
        age = b"Age: %d\r\n%b" % (max(0.0, entry.at(self._cache.seconds())), line)
        if entry.status == 200 and has_it(request.fields, entry.fields):
            answer = Response(304, b"Not Modified", not_modified(entry.fields), bodyless=True)
            answer.lines = age
            return answer
        bodyless = request.method == b"HEAD" or entry.status == 204
        answer = Response(
            entry.status, entry.reason, entry.fields, b"" if bodyless else entry.body, len(entry.body), bodyless
        )
        if not entry.wire:
            entry.wire = wire_lines(entry.fields)
        answer.share_fields(entry.fields, entry.wire)
        answer.lines = age
        return answer

    def _count(self, outcome: str) -> None:
        self._cache.counts[self._route, outcome] += 1

    # -- with the service ----------------------------------------------------------------------------------------------

    async def _pass(self, exchange: Exchange, why: bytes = b"bypass") -> Response:
        self._count("bypass")
        answer = self._across(exchange)
        response = answer if isinstance(answer, Response) else await answer
        response.lines += status.forwarded(self._cache.name, why)
        return response

    async def _change(self, exchange: Exchange) -> Response:
        answer = self._across(exchange)
        response = answer if isinstance(answer, Response) else await answer
        self._cache.invalidate(exchange, response)
        response.lines += status.forwarded(self._cache.name, b"method")
        return response

    async def _get(
        self,
        exchange: Exchange,
        said: _Said,
        personal: bool,
        uri: Uri,
        space: Space,
        select: Select,
        entry: Entry | None,
    ) -> Response:
        cache = self._cache
        place: object = None
        alone = said.wishes.no_cache or (personal and entry is None) or cache.marked(uri, space)
        for _ in range(0 if alone else TURNS):
            place = uri, space, tuple(map(select, cache.store.vary(uri, space) or ()))
            flight = cache.flight(place)
            if flight is None:
                break
            place = None
            if not await cache.wait(flight):
                break
            entry = _usable(cache.store.find(uri, space, select), personal)
            if entry is not None and use(entry.terms, entry.at(cache.seconds()), said.wishes) is not Use.ASK:
                self._count("collapsed")
                return self._give(exchange, entry, status.forwarded(cache.name, b"uri-miss", collapsed=True))
        why = b"request" if entry is not None and said.wishes.no_cache else b"stale" if entry is not None else b""
        why = why or (b"uri-miss" if cache.store.vary(uri, space) is None else b"vary-miss")
        return await self._fetch(exchange, said.wishes, personal, uri, space, place, entry, why)

    async def _from_others(
        self, exchange: Exchange, wanted: Wishes, personal: bool, uri: Uri, space: Space, flight: _Flight
    ) -> Entry | None:
        """What another process has kept, if it may be given."""
        shared = self._cache.shared
        if shared is None or wanted.no_cache:
            return None
        entry = _usable(await shared.find(uri, space, partial(selected, exchange, self._renamed)), personal)
        if entry is None or flight.void or use(entry.terms, entry.at(self._cache.seconds()), wanted) is not Use.FRESH:
            return None
        self._cache.store.put(entry)
        return entry

    async def _fetch(
        self,
        exchange: Exchange,
        wanted: Wishes,
        personal: bool,
        uri: Uri,
        space: Space,
        place: object,
        entry: Entry | None,
        why: bytes,
    ) -> Response:
        """
        Ask the service, and keep what it says, where that may be.

        :param place: where others may wait for it. :param entry: what is kept and can't be used without asking.
        """
        cache = self._cache
        flight = cache.begin(uri, place)
        try:
            if entry is None and cache.shared is not None:
                found = await self._from_others(exchange, wanted, personal, uri, space, flight)
                if found is not None:
                    cache.over(uri, place, flight, again=True)
                    self._count("shared")
                    left = found.terms.lifetime - found.at(cache.seconds())
                    return self._give(exchange, found, status.hit(cache.name, left))
            asked = cache.epoch()
            response = await self._ask(exchange, entry)
            if entry is not None and response.status == 304 and not confirms(response.seen, entry.fields):
                cache.store.drop(entry)
                entry = None
                response = await self._ask(exchange, None, plain=True)
        except UpstreamError as error:
            cache.over(uri, place, flight, again=False)
            if entry is None or not use_on_error(entry.terms, entry.at(cache.seconds()), wanted):
                raise
            exchange.error = error
            return self._instead(exchange, entry, why, error.status)
        except BaseException:
            cache.over(uri, place, flight, again=True)
            raise
        if entry is not None and response.status == 304:
            self._freshen(entry, response, asked)
            cache.over(uri, place, flight, again=True)
            self._count("revalidated")
            return self._give(exchange, entry, status.forwarded(cache.name, why, 304, stored=True))
        # A fallback stands for an error.
        failed = response.status in FAILED or isinstance(exchange.error, UpstreamError)
        if failed and entry is not None and use_on_error(entry.terms, entry.at(cache.seconds()), wanted):
            cache.over(uri, place, flight, again=False)
            _discard(response)
            return self._instead(exchange, entry, why, response.status)
        self._count("miss")
        if entry is not None and not failed and response.status < 500:
            cache.store.drop(entry)
        made = None if flight.void else self._keepable(exchange, response, personal, uri, space, asked)
        cache.mark(uri, space, made is None and response.status < 500)
        body = response.body
        if made is None:
            cache.over(uri, place, flight, again=False)
            response.lines += status.forwarded(cache.name, why)
        elif isinstance(body, bytes) or response.bodyless:
            made = self._keep(made, body if isinstance(body, bytes) else b"", flight)
            cache.over(uri, place, flight, again=True)
            line = status.forwarded(cache.name, why, stored=made is not None)
            if made is not None and entry is not None:
                return self._give(exchange, made, line)
            response.lines += line
        else:
            held: Entry = made

            def ended(copy: bytes | None) -> None:
                if copy is not None:
                    self._keep(held, copy, flight)
                cache.over(uri, place, flight, again=True)

            response.body = CopiedBody(body, cache.store, cache.largest, ended)
            response.lines += status.forwarded(cache.name, why, stored=True)
        return response

    def _instead(self, exchange: Exchange, entry: Entry, why: bytes, told: int) -> Response:
        self._count("stale")
        return self._give(exchange, entry, status.forwarded(self._cache.name, why, told))

    async def _ask(self, exchange: Exchange, entry: Entry | None, plain: bool = False) -> Response:
        """:param plain: without the client's conditions."""
        request = exchange.request
        if entry is not None or plain:
            exchange.request = _copy(request, asking_again(request.fields, () if entry is None else entry.fields))
        try:
            answer = self._across(exchange)
            return answer if isinstance(answer, Response) else await answer
        finally:
            exchange.request = request

    def _keepable(
        self, exchange: Exchange, response: Response, personal: bool, uri: Uri, space: Space, asked: float
    ) -> Entry | None:
        """What of an answer is kept once its body is there; None where nothing may be."""
        cache, seen = self._cache, response.seen
        if response.length is not None and response.length > cache.largest:
            return None
        kind = field_value(seen, b"content-type")
        if kind is not None and kind.partition(b";")[0].strip().lower() == b"text/event-stream":
            return None
        received = cache.epoch()
        date = parse_date(field_value(seen, b"date"))
        found = terms(response.status, seen, personal, received if date is None else date, self._rules)
        if found is None:
            return None
        fields = [one for one in seen if one[0].lower() not in _DATED]
        fields.insert(0, (b"Date", formatdate(received if date is None else date, usegmt=True).encode("ascii")))
        vary = varying_on(seen)
        return Entry(
            uri,
            space,
            response.status,
            response.reason,
            fields,
            b"",
            found,
            initial_age(seen, received if date is None else date, asked, received),
            cache.seconds(),
            vary,
            tuple(selected(exchange, self._renamed, name) for name in vary),
        )

    def _keep(self, entry: Entry, body: bytes, flight: _Flight) -> Entry | None:
        """:return: None where it isn't kept after all."""
        if flight.void or len(body) > self._cache.largest:
            return None
        entry.body = body
        if entry.status != 204:
            entry.fields.append((b"Content-Length", b"%d" % len(body)))
        entry.weigh()
        if not self._cache.store.put(entry):
            return None
        if self._cache.shared is not None:
            self._cache.shared.put(entry)
        return entry

    def _freshen(self, entry: Entry, response: Response, asked: float) -> None:
        """The service has said that what is kept is still good (RFC 9111 section 4.3.4)."""
        cache = self._cache
        _discard(response)
        received = cache.epoch()
        told = [one for one in response.seen if one[0].lower() != b"age"]
        date = parse_date(field_value(told, b"date"))
        if date is None:
            told = [one for one in told if one[0].lower() != b"date"]
            told.append((b"Date", formatdate(received, usegmt=True).encode("ascii")))
        made = received if date is None else date
        fields = freshened(entry.fields, told)
        found: Terms | None = terms(entry.status, fields, False, made, self._rules)
        entry.fields, entry.wire = fields, b""
        entry.age, entry.since = initial_age(response.seen, made, asked, received), cache.seconds()
        if found is None or varying_on(fields) != entry.vary:
            cache.store.drop(entry)
        else:
            entry.terms = found
            cache.store.changed(entry)
            if cache.shared is not None:
                cache.shared.put(entry)

    def _refresh(self, exchange: Exchange, entry: Entry, uri: Uri, space: Space) -> None:
        """Ask the service while the client has the old answer already."""
        cache = self._cache
        place = uri, space, entry.values
        if cache.flight(place) is not None:
            return
        request = exchange.request
        fields = [one for one in request.fields if one[0].lower() not in CONDITIONS]
        behind = Exchange(_copy(request, fields, b"GET"), cast(Outlet, _Nowhere()), cache.seconds())
        for name in (
            "id",
            "correlation_id",
            "id_lines",
            "route",
            "params",
            "version",
            "forwarding",
            "lines",
            "client_ip",
        ):
            setattr(behind, name, getattr(exchange, name))
        behind.principal, behind.identity = exchange.principal, exchange.identity
        personal = exchange.identity is not None or _said(fields).personal or _certified(request)
        behind.task = Task(self._behind(behind, personal, uri, space, place, entry))

    async def _behind(
        self, exchange: Exchange, personal: bool, uri: Uri, space: Space, place: object, entry: Entry
    ) -> None:
        try:
            response = await self._fetch(exchange, Wishes(), personal, uri, space, place, entry, b"stale")
        except GatewayError as error:
            self._log.debug("an answer of {route} stays old: {error}", route=self._route, error=error)
            return
        if isinstance(response.body, CopiedBody):
            response.body.deliverBody(cast(IProtocol, Nobody()))
        elif not isinstance(response.body, bytes):
            _discard(response)


class _Nowhere:
    """Where answers go that nobody waits for."""

    def inform(self, exchange: Exchange, status: int, fields: Fields) -> None:
        """Nobody wants to know."""


def _usable(entry: Entry | None, personal: bool) -> Entry | None:
    """What is kept of requests of guests isn't for who has said who they are, unless it is meant for everybody."""
    return None if entry is None or (personal and not entry.terms.shared) else entry


def _said(fields: Fields) -> _Said:
    names = {name.translate(FOLD) for name, _ in fields}
    wanted = wishes(fields)
    return _Said(
        wanted,
        wanted.no_store or not names.isdisjoint(FOR_THE_SERVICE | OVERRIDING),
        not names.isdisjoint(CREDENTIALS),
    )


def _certified(request: Request) -> bool:
    tls = request.client.tls
    return tls is not None and tls.certificate is not None


def selected(exchange: Exchange, renamed: Mapping[bytes, bytes], name: bytes) -> bytes | None:
    """
    The value of a field as the service gets it, for Vary. Fields that it may take for the same one, for CGI is between
    or they are renamed, stand behind that, each with its name. So does the issuer behind a user's id.

    :param renamed: see :class:`Cached`.
    :param name: in lower case.
    :return: None where it isn't there.
    """
    values, others = [], []
    if name not in IDENTITY and not name.startswith(IDENTITY_PREFIXES):
        known = name.translate(FOLD)
        old = renamed.get(known)
        for key, value in exchange.request.fields:
            spelled = key.lower()
            if spelled == name:
                values.append(value.strip())
            elif spelled.translate(FOLD) in (known, old):
                others.append(b"\n%b:%b" % (spelled, value))
    lines = (line.partition(b": ") for line in exchange.lines.split(b"\r\n"))
    sent: Iterable[Field] = [*exchange.forwarding, *((key, value) for key, _, value in lines)]
    values += [value for key, value in sent if key.lower() == name]
    who = exchange.identity
    if who is not None and who.key and name == b"x-user-id":
        others.append(b"\n" + who.key.encode())
    if others:
        return b", ".join(values) + b"".join(others)
    return b", ".join(values) if values else None


def _copy(request: Request, fields: Fields, method: bytes | None = None) -> Request:
    """The same with other fields."""
    return Request(
        method or request.method,
        request.target,
        request.path,
        request.query,
        request.authority,
        fields,
        request.options,
        request.version,
        request.client,
        {},
    )


def _discard(response: Response) -> None:
    """Nobody wants the body."""
    discard = getattr(response, "discard", None)
    if discard is not None:
        discard()
