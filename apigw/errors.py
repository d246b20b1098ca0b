"""
Everything that can go wrong with a request, by whose fault it is, with the status and the stable code a client sees.

The tree has three branches: :class:`ClientError` (the request), :class:`UpstreamError` (the service) and
:class:`GatewayError` itself (the gateway). An error carries what a client may know and nothing else; what an
operator needs goes to the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Field = tuple[bytes, bytes]


class GatewayError(Exception):
    """
    A request that the gateway answers by itself.

    :cvar status: the HTTP status of the answer.
    :cvar code: stable, lower case, for programs; never changes its meaning.
    :cvar title: one short sentence, the same for each error of the class (RFC 9457 section 3.1.3).
    :cvar proxy_status: the error type of RFC 9209 section 2.3, for the Proxy-Status field; empty where none fits.
    :ivar detail: one sentence about this very request; reaches the client, so it holds no internals.
    :ivar fields: more fields for the answer, such as Allow.
    :ivar retry_after: seconds, or None.
    :ivar close: True where the connection can't be used after this answer, for its framing is in doubt.
    """

    status: int = 500
    code: str = "internal-error"
    title: str = "The gateway failed"
    proxy_status: str = ""

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        fields: Iterable[Field] = (),
        retry_after: float | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.fields: Sequence[Field] = tuple(fields)
        self.retry_after = retry_after
        self.close = close
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


def without_frames(error: BaseException) -> None:
    """
    Forget where ``error`` has come through, and what it was caused by: who keeps it for its own frames to find would
    keep all of a request until the garbage collector runs.
    """
    error.__traceback__ = None
    for cause in (error.__cause__, error.__context__):
        if cause is not None and cause.__traceback__ is not None:
            without_frames(cause)


class InternalError(GatewayError):
    """A fault of the gateway's own: always logged with its traceback, never explained to a client."""

    proxy_status = "proxy_internal_error"


class KeysUnavailable(GatewayError):
    """The issuer's keys could not be fetched so far, so that no token of it can be verified."""

    status = 503
    code = "keys-unavailable"
    title = "Tokens can not be verified at the moment"


class ClaimsUnavailable(GatewayError):
    """It can't be known whether a request with an idempotency key was done already, so it isn't done."""

    status = 503
    code = "idempotency-unavailable"
    title = "Idempotency keys can not be looked up at the moment"


class ClaimsFull(GatewayError):
    """There is no memory left to do one more request with an idempotency key, so it isn't done."""

    status = 503
    code = "idempotency-full"
    title = "Too many requests with idempotency keys are under way"


class LoopDetected(GatewayError):
    """The request has come through this gateway before (RFC 9110 section 7.6.3, RFC 5842 section 7.2)."""

    status = 508
    code = "loop-detected"
    title = "The request goes round in a circle"
    proxy_status = "proxy_loop_detected"


class ShuttingDown(GatewayError):
    """The gateway is about to stop and takes no more requests."""

    status = 503
    code = "shutting-down"
    title = "The gateway is about to stop"


class Maintenance(GatewayError):
    """An operator has closed the gateway, the service or the route for a while."""

    status = 503
    code = "maintenance"
    title = "Closed for maintenance"


class VersionBrownout(GatewayError):
    """An old version of the API doesn't answer for a while, so that who still uses it notices."""

    status = 503
    code = "version-brownout"
    title = "The version does not answer for a while"


class StreamEnded(GatewayError):
    """
    What had begun and would have gone on was ended: a tunnel, or a stream of events. The code says why; the status
    stands nowhere, for that of the answer is long sent.

    :ivar close_code: for WebSocket (RFC 6455 section 7.4).
    """

    status = 503
    code = "stream-ended"
    title = "The gateway has ended what was going on"

    def __init__(self, code: str, detail: str, close_code: int) -> None:
        super().__init__(detail, code=code)
        self.close_code = close_code


class UpgradeLimited(GatewayError):
    """As many tunnels are open as may be; :attr:`status` is 429 where they are the client's own."""

    status = 503
    code = "tunnels-limited"
    title = "Too many tunnels are open"


# -- the client's ------------------------------------------------------------------------------------------------


class ClientError(GatewayError):
    """The request can't be served as it is."""

    status = 400
    code = "bad-request"
    title = "The request is not valid"


class MalformedRequest(ClientError):
    """Not HTTP, or HTTP that could be read in two ways; ``status`` and ``code`` say more."""

    title = "The request is not valid HTTP"


class BadPath(ClientError):
    """A path that means another path once decoded."""

    code = "bad-path"
    title = "The path is not acceptable"


class BadUpgrade(ClientError):
    """The request asks for another protocol in a way that the protocol doesn't allow."""

    code = "bad-upgrade"
    title = "The request to change the protocol is not valid"


class AddressRefused(ClientError):
    """The client's address is denied, or not among those that are allowed."""

    status = 403
    code = "address-refused"
    title = "The client's address is not allowed"


class OriginRefused(ClientError):
    """The request comes from a page of an origin that isn't allowed."""

    status = 403
    code = "origin-refused"
    title = "The page's origin is not allowed"


class RateLimited(ClientError):
    """Too many requests (RFC 6585 section 4)."""

    status = 429
    code = "rate-limited"
    title = "Too many requests"


class ConcurrencyLimited(RateLimited):
    """Too many requests at once, not too many in a time."""

    code = "concurrency-limited"


class VersionUnknown(ClientError):
    """There is no such version of the API; :attr:`status` is 404 where the path names it."""

    code = "version-unknown"
    title = "There is no such version"


class VersionMalformed(ClientError):
    """What should name a version of the API doesn't."""

    code = "version-malformed"
    title = "The version is not valid"


class VersionGone(ClientError):
    """The version of the API has ended (RFC 8594)."""

    status = 410
    code = "version-gone"
    title = "The version has ended"


class ContractRefused(ClientError):
    """The sender was built for another version of the contract."""

    code = "contract-version"
    title = "The version of the contract is not served"


class KeyReused(ClientError):
    """An idempotency key that was used for something else before."""

    status = 422
    code = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"


class NotCached(ClientError):
    """The request wants an answer that is kept, and there is none (RFC 9111 section 5.2.1.7)."""

    status = 504
    code = "not-cached"
    title = "No answer is kept"


class KeyUnderWay(ClientError):
    """The first request with that idempotency key has no answer yet."""

    status = 409
    code = "idempotency-key-under-way"
    title = "The first request with this idempotency key is under way"


class AnswerNotKept(ClientError):
    """The first request with that idempotency key was done, but its answer is not kept."""

    status = 409
    code = "idempotency-answer-not-kept"
    title = "The request with this idempotency key was done"


class Unauthorized(ClientError):
    """:param fields: holds WWW-Authenticate (RFC 9110 section 15.5.2)."""

    status = 401
    code = "token-missing"
    title = "The request needs a token"


class Forbidden(ClientError):
    """Who asks is known, and may not."""

    status = 403
    code = "forbidden"
    title = "The request is not allowed"


class RouteNotFound(ClientError):
    status = 404
    code = "route-not-found"
    title = "No route matches the request"


class MethodNotAllowed(ClientError):
    """:param fields: holds Allow (RFC 9110 section 15.5.6)."""

    status = 405
    code = "method-not-allowed"
    title = "The route does not allow the method"


class RequestTimeout(ClientError):
    """The request came too slowly (RFC 9110 section 15.5.9)."""

    status = 408
    code = "request-timeout"
    title = "The request took too long to arrive"


class Misdirected(ClientError):
    """The connection is not one for this host (RFC 9110 section 15.5.20)."""

    status = 421
    code = "misdirected-request"
    title = "The request belongs on another connection"


class GraphqlRefused(ClientError):
    """
    What is asked for in GraphQL isn't to be had.

    :ivar well_formed: it is a GraphQL request, only one that isn't executed.
    :ivar legacy: a code that GraphQL clients know from elsewhere, empty for none.
    """

    code = "graphql-request"
    title = "The GraphQL request is not acceptable"
    well_formed = False
    legacy = ""


class BodyTooLarge(ClientError):
    status = 413
    code = "body-too-large"
    title = "The body is larger than allowed"


class ClientDisconnected(ClientError):
    """
    The client went away. Nobody reads the answer; 499 stands in the log and the metrics only.

    Source: nginx, ngx_http_request.h, NGX_HTTP_CLIENT_CLOSED_REQUEST.
    """

    status = 499
    code = "client-disconnected"
    title = "The client went away"


# -- the service's -----------------------------------------------------------------------------------------------


class UpstreamError(GatewayError):
    """
    The service did not answer well.

    :cvar reason: the word that ``retry.on`` uses for it.
    """

    status = 502
    code = "upstream-failed"
    title = "The service behind the gateway failed"
    proxy_status = "destination_unavailable"
    reason: str = ""


class UpstreamUnavailable(UpstreamError):
    """No peer to send the request to."""

    status = 503
    code = "upstream-unavailable"
    title = "The service behind the gateway is not available"
    proxy_status = "destination_unavailable"


class CircuitOpen(UpstreamUnavailable):
    """The breakers of all peers are open: failing fast, until one of them may be probed again."""

    code = "circuit-open"
    title = "The service behind the gateway fails and is given a rest"


class UpstreamOverloaded(UpstreamError):
    """The bulkhead is full: all connections are in use, and so are all places in the queue."""

    status = 503
    code = "upstream-overloaded"
    title = "The service behind the gateway is at its limit"
    proxy_status = "connection_limit_reached"


class ConnectFailed(UpstreamError):
    """No connection to the peer; nothing was sent."""

    code = "upstream-connect-failed"
    title = "The service behind the gateway could not be reached"
    proxy_status = "connection_refused"
    reason = "connect"


class NameNotResolved(ConnectFailed):
    code = "upstream-name-not-resolved"
    proxy_status = "dns_error"


class ConnectTimeout(ConnectFailed):
    """``timeout.connect`` ran out; nothing was sent."""

    status = 504
    code = "upstream-connect-timeout"
    proxy_status = "connection_timeout"


class TlsFailed(UpstreamError):
    """The peer is not who it should be, or speaks no TLS we accept; another try would change nothing."""

    code = "upstream-tls-failed"
    title = "The service behind the gateway could not be trusted"
    proxy_status = "tls_certificate_error"


class UpstreamReset(UpstreamError):
    """The peer closed the connection before its answer was complete."""

    code = "upstream-reset"
    title = "The service behind the gateway broke off"
    proxy_status = "connection_terminated"
    reason = "reset"


class StaleConnection(UpstreamReset):
    """A kept connection that the peer closed as the request went out; it answered nothing (RFC 9112 section 9.3.1)."""


class UpstreamProtocolError(UpstreamError):
    """The peer's answer is not HTTP, or HTTP that could be read in two ways."""

    code = "upstream-protocol-error"
    title = "The service behind the gateway sent an invalid answer"
    proxy_status = "http_protocol_error"
    reason = "reset"


class PartFailed(UpstreamError):
    """One of the services that answer a request together failed, and nothing can be said without it."""

    code = "part-failed"
    title = "A part of the answer can't be had"


class UpstreamTimeout(UpstreamError):
    """``timeout.first_byte``, ``timeout.idle`` or ``timeout.total`` ran out; the code says which."""

    status = 504
    code = "upstream-timeout"
    title = "The service behind the gateway took too long"
    proxy_status = "http_response_timeout"
    reason = "timeout"
