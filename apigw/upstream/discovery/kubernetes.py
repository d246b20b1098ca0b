"""Peers from Kubernetes: the EndpointSlices of a service are listed once, then watched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from OpenSSL.crypto import Error as NoCertificate
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent

from apigw.outbound import OneTimeConnections
from apigw.upstream.discovery.http import BadStatus, get, get_json
from apigw.upstream.discovery.slices import GONE, Expired, Slices
from apigw.upstream.discovery.source import Answer, Found, Malformed, NoAccess, Nothing, Source, SourceFailed
from apigw.upstream.tls import BEGIN

TIMEOUT = 10.0
"""Seconds for a list, and for the head of a watch."""

WATCH_FOR = 120
"""Seconds after which the server ends a watch; a connection that has died is noticed as late as that."""

GRACE = 15.0
"""Seconds more for it to do so."""

PAGE = 500
MAX_PAGES = 200
MAX_BODY = 16 * 1024 * 1024
MAX_EVENT = 4 * 1024 * 1024
"""Bytes; a slice has a hundred endpoints as a rule, and a thousand at the most, of some 500 bytes each."""

SETTLE = 0.2
"""Seconds for which changes are gathered: a rollout makes many at once."""

AGAIN = 1.0
"""Seconds before a watch that has ended in order is begun again."""


@frozen
class KubernetesApi:
    """
    Access to the API server.

    :ivar url: without a path.
    :ivar token_file: a service account's token, read for each request, for it is renewed; None for no token.
    :ivar ca_file: the authorities that may have signed the server's certificate, None for the system's.
    """

    reactor: Any
    url: str
    token_file: str | None
    ca_file: str | None

    def agent(self) -> IAgent:
        """:raises SourceFailed: the file of authorities can't be read."""
        if self.ca_file is None or not self.url.startswith("https:"):
            return Agent(self.reactor, connectTimeout=TIMEOUT, pool=OneTimeConnections(self.reactor))
        try:
            pem = Path(self.ca_file).read_bytes()
            authorities = [Certificate.loadPEM(BEGIN + block) for block in pem.split(BEGIN)[1:]]
        except (OSError, NoCertificate) as error:
            raise NoAccess(f"{self.ca_file} can't be read: {error}") from None
        if not authorities:
            raise NoAccess(f"{self.ca_file} holds no certificate")
        policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))
        return Agent(self.reactor, policy, connectTimeout=TIMEOUT, pool=OneTimeConnections(self.reactor))

    def fields(self) -> dict[str, str]:
        """:raises SourceFailed: the token can't be read."""
        if self.token_file is None:
            return {}
        try:
            token = Path(self.token_file).read_text("ascii").strip()
        except FileNotFoundError as error:
            if self.url.startswith("http:"):
                return {}  # kubectl proxy, which has credentials of its own
            raise NoAccess(f"{self.token_file} can't be read: {error}") from None
        except (OSError, ValueError) as error:
            raise NoAccess(f"{self.token_file} can't be read: {error}") from None
        return {"Authorization": f"Bearer {token}"}


class KubernetesSource(Source):
    """
    The endpoints of a service that are ready.

    :param port: a number or a name of the slices, empty for the only one.
    """

    def __init__(
        self, api: KubernetesApi, namespace: str, service: str, port: str, scheme: str, weight: int, backup: bool
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._service = service
        self._path = f"{api.url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?"
        self._selector = f"kubernetes.io/service-name={service}"
        self._port = port
        self._scheme = scheme
        self._weight = weight
        self._backup = backup
        self._slices = Slices()
        self._stream: _Stream | None = None
        self._told: tuple[Found, ...] | str | None = None

    @property
    def label(self) -> str:
        return f"kubernetes:{self._namespace}/{self._service}"

    async def fetch(self) -> Answer:
        """At first what is there now, later as soon as that differs from what was told."""
        listed = ended = False
        while True:
            try:
                if self._slices.version is None:
                    await self._list()
                    listed = True
                elif self._stream is None:
                    await self._watch()
                else:
                    ended = await self._stream.changed()
            except Expired:
                self.close()
                self._slices.version = None
                if listed:
                    raise SourceFailed("what was listed can't be watched, for it is too old at once") from None
                continue
            except BaseException:
                self.close()
                self._told = None  # when it works again, that has to be told
                raise
            state = self._state()
            if state == self._told and not ended:
                continue
            self._told = state
            if ended:
                self._stream = None
            if isinstance(state, str):
                raise Nothing(state)
            return Answer(state, AGAIN if ended else SETTLE)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _state(self) -> tuple[Found, ...] | str:
        """:return: all addresses, or why there are none."""
        try:
            addresses = self._slices.addresses(self._port)
        except Nothing as error:
            return str(error)
        return tuple(
            Found(
                scheme=self._scheme,
                host=host,
                port=port,
                name=f"{self._service}.{self._namespace}.svc",
                weight=self._weight,
                backup=self._backup,
            )
            for host, port in addresses
        )

    async def _list(self) -> None:
        api = self._api
        agent = api.agent()
        items: list[object] = []
        more = ""
        for _ in range(MAX_PAGES):
            query = {"labelSelector": self._selector, "limit": str(PAGE), **({"continue": more} if more else {})}
            url = self._path + urlencode(query)
            document = await get_json(agent, api.reactor, url, api.fields(), timeout=TIMEOUT, most=MAX_BODY)
            try:
                items += document["items"] or ()
                metadata = document["metadata"]
                version, more = str(metadata["resourceVersion"]), str(metadata.get("continue") or "")
            except (TypeError, LookupError, AttributeError):
                raise Malformed(f"{self._path} gives no list") from None
            if not more:
                self._slices.replace(items, version)
                return
        raise Malformed(f"{self._path} gives lists without end")

    async def _watch(self) -> None:
        """:raises Expired: the version is too old."""
        api = self._api
        query = {
            "labelSelector": self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._slices.version,
            "timeoutSeconds": str(WATCH_FOR),
        }
        try:
            response = await get(api.agent(), api.reactor, self._path + urlencode(query), api.fields(), TIMEOUT)
        except BadStatus as error:
            if error.status == GONE:
                raise Expired from None
            raise
        self._stream = _Stream(self._slices.apply, api.reactor, WATCH_FOR + GRACE)
        response.deliverBody(self._stream)


class _Stream(Protocol):
    """
    The events of a watch, a line each; taken as they come, whether or not somebody waits.

    :param take: an event; what it raises ends the watch.
    :param longest: seconds after which the stream counts as broken.
    """

    transport: Any

    def __init__(self, take: Callable[[object], object], clock: Any, longest: float) -> None:
        self._take = take
        self._data = b""
        self._news = False
        self._outcome: Failure | None = None
        self._over = False
        self._waiting: Deferred[None] | None = None
        late = Failure(SourceFailed("the watch didn't end in time"))
        self._timer: IDelayedCall = clock.callLater(longest, self._end, late)

    async def changed(self) -> bool:
        """
        Wait for an event, or for the end.

        :return: True where the watch has ended in order, after all its events.
        :raises Expired: as ``take``; :class:`SourceFailed`: it broke.
        """
        if not self._news and not self._over:
            self._waiting = Deferred()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if self._news:
            self._news = False
            return False
        if self._outcome is not None:
            self._outcome.raiseException()
        return True

    def close(self) -> None:
        self._end(None)

    def dataReceived(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        try:
            for line in lines:
                if line.strip() and not self._over:
                    self._take(json.loads(line))
                    self._news = True
            if len(self._data) > MAX_EVENT:
                raise Malformed(f"an event of the watch has more than {MAX_EVENT} bytes")
        except (ValueError, RecursionError) as error:
            self._end(Failure(Malformed(f"an event of the watch is no JSON: {error}")))
        except Exception:
            self._end(Failure())
        self._wake()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        if reason.check(ResponseDone, PotentialDataLoss):
            self._end(None)
        else:
            self._end(Failure(SourceFailed("the watch was cut")))

    def _end(self, outcome: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        self._outcome = outcome
        if self._timer.active():
            self._timer.cancel()
        if self.transport is not None:
            self.transport.loseConnection()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.called and (self._news or self._over):
            self._waiting.callback(None)
