"""Answers preflights, and tells browsers which pages may read an answer; a service has no say in it."""

from __future__ import annotations

from apigw.dates import HttpDate
from apigw.errors import OriginRefused
from apigw.messages import Exchange, Response, field_value, field_values
from apigw.pipeline import Stage
from apigw.policy.cors import Cors, preflight_method, same_origin

_OURS = frozenset(
    (
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-allow-private-network",
        b"access-control-expose-headers",
        b"access-control-max-age",
    )
)


class CrossOrigin(Stage):
    """
    :param cors: the policy.
    :param refuse: answer pages of other origins with 403; else they are served, and their browser hides the answer.
    """

    pure = True

    def __init__(self, cors: Cors, date: HttpDate, refuse: bool = False) -> None:
        self._cors = cors
        self._date = date
        self._refuse = refuse

    def facts(self, exchange: Exchange) -> dict[str, object]:
        origin = _origin(exchange)
        return {"origin": origin.decode("latin-1"), "allowed": self._cors.allows(origin)} if origin else {}

    def request(self, exchange: Exchange) -> Response | None:
        """
        Answer a preflight.

        :raises OriginRefused: the origin isn't allowed, and ``refuse`` is set.
        """
        request = exchange.request
        if request.method == b"OPTIONS" and (method := preflight_method(request.fields)) is not None:
            return self._preflight(exchange, method)
        if self._refuse:
            origin = _origin(exchange)
            if origin and not (self._cors.allows(origin) or same_origin(origin, request.authority)):
                raise OriginRefused
        return None

    def _preflight(self, exchange: Exchange, method: bytes) -> Response:
        fields = exchange.request.fields
        headers = b", ".join(field_values(fields, b"access-control-request-headers"))
        private = field_value(fields, b"access-control-request-private-network") == b"true"
        lines = self._cors.preflight(_origin(exchange), method, headers, private)
        if not lines and self._refuse:
            raise OriginRefused
        exchange.error = None  # what is wrong with the request to come, its own answer says
        response = Response(204, b"No Content", [(b"Date", self._date.now())], b"", bodyless=True)
        response.lines = lines + self._cors.preflight_vary
        exchange.response = response
        return response

    def response(self, exchange: Exchange, response: Response) -> None:
        cors = self._cors
        if exchange.response is response:
            return  # the answer to a preflight has it all
        notes = response.notes
        known = None if notes is None else notes.get(self)
        if known is None:
            known = self._known(response)
            if notes is not None:
                notes[self] = known
        theirs, vary = known
        if theirs:
            response.fields = [field for field in response.seen if field[0].lower() not in _OURS]
        origin = exchange.request.notes.get(_origin)
        if origin is None:
            origin = _origin(exchange)
        response.lines += cors.lines(origin) + vary if origin or cors.any else vary

    def _known(self, response: Response) -> tuple[bool, bytes]:
        """Whether the service's answer has fields that are ours to send, and what it lacks of Vary."""
        vary = self._cors.vary
        theirs = False
        for name, value in response.seen:
            size = len(name)
            if size > 21 and name.lower() in _OURS:
                theirs = True
            elif (
                size == 4
                and vary
                and name.lower() == b"vary"
                and b"origin" in value.lower().replace(b" ", b"").split(b",")
            ):
                vary = b""
        return theirs, vary


def _names_origin(vary: bytes) -> bool:
    return b"origin" in [name.strip() for name in vary.lower().split(b",")]


def _origin(exchange: Exchange) -> bytes:
    """Where the page came from; two of these fields are no answer."""
    notes = exchange.request.notes
    origin: bytes | None = notes.get(_origin)
    if origin is None:
        found = field_values(exchange.request.fields, b"origin")
        origin = notes[_origin] = found[0] if len(found) == 1 else b""
    return origin
