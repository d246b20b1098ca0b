"""What works beside the requests: keys, limits, caches, exporters; kept over reloads where nothing changes for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen
from OpenSSL.crypto import Error as SslError
from twisted.internet.defer import Deferred, DeferredList, succeed

from apigw import __version__
from apigw.config import GatewayConfig
from apigw.config.adding import StageSection
from apigw.config.caching import OFF
from apigw.config.certificates import stamp
from apigw.config.files import absolute
from apigw.config.tracing import TracingSection
from apigw.keys.key_file import KeyFile
from apigw.pipeline import Stage
from apigw.policy.graphql.rules import Firewall
from apigw.policy.revocations import Revocations
from apigw.reload import CannotStart
from apigw.stages import added
from apigw.stages.cache import ResponseCache
from apigw.stages.idempotency import Claims
from apigw.stages.versions import VersionCalls
from apigw.streams import Streams
from apigw.telemetry.revocations import RevocationMetrics
from apigw.telemetry.span_counts import SpanCounts
from apigw.telemetry.spans import Spans
from apigw.telemetry.streams import StreamMetrics
from apigw.wiring.around import LOGGED, Around
from apigw.wiring.edge import Edge
from apigw.wiring.traces import Traces

if TYPE_CHECKING:
    from apigw.keys.build import Tokens
    from apigw.keys.shared import SharedRevocations
    from apigw.redis.client import Redis
    from apigw.stages.shared_cache import SharedCache


P = TypeVar("P")


@frozen(eq=False)
class Part:
    """
    Something that works beside the requests, such as what keeps the keys of tokens fresh.

    :ivar of: what it was made of; as long as that stays the same so does the part.
    """

    of: object
    made: Any
    start: Callable[[], object]
    stop: Callable[[], object]


class Parts:
    """
    What works beside the requests of one configuration, or knows something that outlasts it. What was made of the same
    options is taken over from the configuration before.

    :param edge: what it builds may count in Redis.
    :raises CannotStart: something can't be made.

    :ivar added: stages of the users' own, by name.
    """

    def __init__(self, config: GatewayConfig, around: Around, edge: Edge, before: Parts | None) -> None:
        self._config = config
        self._around = around
        self._edge = edge
        self._before = before
        self._reactor = around.reactor
        self._seconds = around.seconds
        self._epoch = around.epoch
        self._metrics = around.metrics
        self._parts: dict[str, Part] = {}
        issuers = [issuer for issuer in (config.jwt, *config.issuers) if issuer is not None]
        files = [issuer.public_key_file or issuer.jwks_file for issuer in issuers]
        made = self._part("revocations", None, self._build_revocations, _nothing, _nothing)
        assert made is not None
        self.revocations = made
        streams = self._part("streams", None, self._build_streams, _nothing, _nothing)
        assert streams is not None
        self.streams = streams
        self.tokens = self._part(
            "tokens",
            (issuers, self.revocations, [stamp(absolute(file)) for file in files if file is not None]),
            self._build_tokens,
            lambda tokens: tokens.start(),
            lambda tokens: tokens.stop(),
        )
        limits = config.limits
        redis = self._part(
            "redis",
            None if limits is None else (limits.redis, limits.redis_ca, limits.redis_deadline),
            self._build_redis,
            self._start_redis,
            self._stop_redis,
        )
        if redis is not None:
            self._edge.count_in(redis)
        self._shared = self._part(
            "shared revocations",
            (redis, self.tokens is not None),
            lambda: self._build_shared(redis),
            lambda shared: shared.start(),
            lambda shared: shared.stop(),
        )
        keyed = any(route.idempotency for route in config.routes)
        self.claims = self._part("claims", (keyed, redis), lambda: self._build_claims(keyed, redis), _nothing, _nothing)
        some = any(route.cache != OFF for route in config.routes)
        self.cache = self._part("cache", some, lambda: self._build_cache(some), _nothing, _nothing)
        beyond = redis if self.cache is not None and config.cache.store == "redis" else None
        self._shared_cache = self._part(
            "shared cache",
            (self.cache, beyond),
            lambda: self._build_shared_cache(beyond),
            self._share_cache,
            lambda shared: shared.stop(),
        )
        calls = config.versioning is not None
        self.calls = self._part(
            "versions", calls, lambda: VersionCalls(self._epoch) if calls else None, _nothing, _nothing
        )
        tracing = config.tracing
        self.traces = self._part(
            "traces",
            (tracing, config.gateway.log_query, self._metrics),
            lambda: None if tracing is None else self._build_traces(tracing),
            _nothing,
            lambda traces: traces.stop(),
        )
        self.added = {section.name: self._add(section) for section in config.stages}
        keys = config.api_keys
        file = None if keys is None else keys.file
        self.key_file = self._part(
            "api_keys",
            (keys, config.consumers, None if file is None else stamp(Path(file))),
            self._build_key_file,
            lambda keys: keys.watch(self._reactor),
            KeyFile.unwatch,
        )

    def _part(
        self,
        name: str,
        of: object,
        make: Callable[[], P | None],
        start: Callable[[P], object],
        stop: Callable[[P], object],
    ) -> P | None:
        """What ``make`` makes, or the one of the configuration before, if that was made ``of`` the same."""
        part = None if self._before is None else self._before._parts.get(name)
        if part is None or part.of != of:
            made = make()
            if made is None:
                return None
            part = Part(of, made, partial(start, made), partial(stop, made))
        self._parts[name] = part
        there: P = part.made
        return there

    def start(self) -> None:
        """Begin to work, and end what of the configuration before isn't needed any more."""
        before, self._before = self._before, None
        had = {} if before is None else before._parts
        self.revocations.size = self._config.revocation.entries
        if self._metrics is not None:
            self._metrics.cache.cache = self.cache
            self._metrics.idempotency.room = None if self.claims is None else self.claims.room
            self._metrics.versions.calls = self.calls
        if self.cache is not None:
            if self._shared_cache is None:
                self.cache.shared = None
            self.cache.resize(self._config.cache.size, self._config.cache.max_body)
        for name, part in self._parts.items():
            if had.get(name) is not part:
                part.start()
        for name, part in had.items():
            if self._parts.get(name) is not part:
                part.stop()

    def stop(self) -> Deferred[Any]:
        """The end. :return: fires when all has been sent that is kept for others; within a second or so."""
        ended = [made for part in self._parts.values() if isinstance(made := part.stop(), Deferred)]
        return DeferredList(ended, consumeErrors=True)

    def firewall(self, rules: Any) -> Firewall | None:
        """What judges GraphQL; keeps what it has parsed as long as its rules stay the same."""
        return self._part("graphql", rules, lambda: None if rules is None else Firewall(rules), _nothing, _nothing)

    @property
    def behind(self) -> bool | None:
        """Others may have revoked tokens that count here; None where there are no others."""
        return None if self._shared is None else self._shared.behind

    def known(self) -> Deferred[None]:
        """:return: fires when it is known what others have revoked, or won't be for a while; at once without others."""
        return succeed(None) if self._shared is None else self._shared.known

    def _build_traces(self, section: TracingSection) -> Traces:
        path = LOGGED[self._config.gateway.log_query]
        spans = Spans(self._epoch, self._seconds, path)
        metrics = self._metrics
        counts = SpanCounts if metrics is None else lambda: metrics.spans
        return Traces(section, __version__, self._around.pseudonym, spans, counts, self._reactor)

    def _add(self, section: StageSection) -> Stage:
        def make() -> Stage:
            try:
                return added.added(section)
            except ValueError as wrong:
                raise CannotStart(f"[stage:{section.name}] {wrong}") from wrong.__cause__

        made = self._part(
            f"stage:{section.name}", section, make, lambda stage: added.start(stage, self._reactor), added.stop
        )
        assert made is not None
        return made

    def _build_revocations(self) -> Revocations:
        made = Revocations(self._epoch)
        if self._metrics is not None:

            def behind() -> bool | None:
                return None if made.sharing is None else made.sharing.behind

            self._metrics.registry.register(RevocationMetrics(lambda: len(made), behind))
        return made

    def _build_streams(self) -> Streams:
        streams = Streams(self._reactor, self._epoch, self.revocations.revoked)
        self.revocations.on_add(streams.revoked)
        if self._metrics is not None:
            self._metrics.registry.register(StreamMetrics(lambda: streams.active, lambda: streams.opened))
        return streams

    def _build_tokens(self) -> Tokens | None:
        """What verifies tokens; None where nobody issues any."""
        jwt = self._config.jwt
        issuers = [issuer for issuer in (jwt, *self._config.issuers) if issuer is not None and issuer.sources]
        if not issuers:
            return None
        from apigw.keys.build import Tokens  # takes 100 ms

        return Tokens(jwt, issuers, self.revocations, self._reactor, self._epoch, self._around.tokens)

    def _build_redis(self) -> Redis | None:
        """What gateways share; None where there is but this one."""
        limits = self._config.limits
        if limits is None or limits.redis is None:
            return None
        try:
            from apigw.wiring.stores import redis_of

            return redis_of(limits, self._edge.machine or self._around.pseudonym, self._reactor, self._seconds)
        except ImportError:
            raise CannotStart("[limits] store: redis needs a package, pip install apigw[redis]") from None
        except (OSError, SslError) as error:
            raise CannotStart(f"[limits] redis_ca: {error}") from None

    def _build_shared(self, redis: Redis | None) -> SharedRevocations | None:
        """Who else is told of revocations; None where nobody is, or where there are no tokens."""
        if redis is None or self.tokens is None:
            return None
        from apigw.keys.shared import SharedRevocations

        return SharedRevocations(self.revocations, redis, self._reactor, self._epoch)

    def _start_redis(self, redis: Redis) -> None:
        redis.start()
        if self._metrics is not None:
            self._metrics.redis.redis = redis

    def _stop_redis(self, redis: Redis) -> None:
        redis.stop()
        if self._metrics is not None and self._metrics.redis.redis is redis:
            self._metrics.redis.redis = None

    def _build_claims(self, keyed: bool, redis: Redis | None) -> Claims | None:
        """What becomes of idempotency keys; None where no route has any."""
        if not keyed:
            return None
        return Claims(self._edge.answers(redis), self._reactor, self._seconds, partial(os.urandom, 16))

    def _build_cache(self, some: bool) -> ResponseCache | None:
        """What keeps answers; None where no route has any kept."""
        if not some:
            return None
        section = self._config.cache
        return ResponseCache(section.size, section.max_body, self._reactor, self._seconds, self._epoch)

    def _build_shared_cache(self, redis: Redis | None) -> SharedCache | None:
        """What other gateways keep too; None where each keeps its own."""
        cache = self.cache
        if redis is None or cache is None:
            return None
        from apigw.stages.shared_cache import SharedCache

        return SharedCache(redis, self._reactor, self._seconds, self._epoch, cache.forget, cache.drop)

    def _share_cache(self, shared: SharedCache) -> None:
        assert self.cache is not None
        self.cache.shared = shared
        shared.start()

    def _build_key_file(self) -> KeyFile | None:
        """Who has API keys; None where there are none."""
        section = self._config.api_keys
        try:
            if section is None or section.file is None:
                return None
            return KeyFile(section.file, self._config.consumers)
        except ValueError as wrong:
            raise CannotStart(f"[api_keys] file: {wrong}") from None


def _nothing(_: object) -> None:
    """To be done to start or stop a part that only remembers."""
