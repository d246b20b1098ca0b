"""Changes the JSON that a service answers with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from apigw.errors import UpstreamProtocolError
from apigw.messages import Exchange, Response, field_value
from apigw.pipeline import Across
from apigw.policy.encoding import weak
from apigw.policy.fields import Field
from apigw.policy.json_shape import NotJson, Shape, parse, write
from apigw.stages.kept_body import discard, keep_answer

OF_THE_SERVICE = (b"accept-encoding", b"range", b"if-range")
"""Fields of a request that the service doesn't get: a part of JSON, and what is encoded, can't be changed."""

_OF_BYTES = frozenset(
    (b"content-length", b"accept-ranges", b"content-md5", b"digest", b"content-digest", b"repr-digest")
)
"""What was said of the body as it was."""


DENSE = 10
"""Bytes of the cap for each value: what has many small ones takes thirty times as long to change as text does."""

FEW = 10_000
"""Values that any answer may have."""


class JsonBody:
    """
    What a route has across: changes answers of status 200 to 299 whose type is JSON.

    :param wrap: put it into the envelope, if it isn't in one.
    :param cap: bytes; larger ones are passed on as they come, and those with more than a value for each ten of these
        bytes, or 10 000 values, as they are.
    :param strict: what can't be changed, for it is too large, encoded or no JSON, isn't passed on, but an error. That
        is so for other types, too, for a client can ask many services for the same in XML or HTML.
    :param epoch: seconds since 1970.
    """

    def __init__(
        self, across: Across, shape: Shape, wrap: bool, cap: int, strict: bool, epoch: Callable[[], float]
    ) -> None:
        self._across = across
        self._shape = shape
        self._wrap = wrap
        self._cap = cap
        self._most = max(FEW, cap // DENSE)
        self._strict = strict
        self._epoch = epoch

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """As what it is around has it."""
        explain = getattr(self._across, "explain", None)
        return {} if explain is None else explain(exchange)

    async def __call__(self, exchange: Exchange) -> Response:
        """:raises UpstreamProtocolError: the answer can't be changed, and has to be."""
        answer = self._across(exchange)
        response = await answer if isinstance(answer, Awaitable) else answer
        if exchange.error is not None or not 200 <= response.status < 300 or response.status in (204, 205):
            return response
        if not is_json(response):
            if not self._strict or response.length == 0 or response.bodyless or exchange.request.method == b"HEAD":
                return response
            discard(response)
            raise _unchanged("It is of another type.")
        if response.bodyless or exchange.request.method == b"HEAD":
            response.fields = _fields(response)
            return response
        data = await self._read(response)
        try:
            if data is None:
                raise NotJson("It is too large, encoded or a part.")
            data = write(self._changed(parse(data, self._most)))
        except NotJson as error:
            if not self._strict:
                return response if data is None else _whole(response, data, list(response.seen))
            discard(response)
            raise _unchanged(str(error)) from None
        fields = _fields(response)
        fields.append((b"Content-Length", b"%d" % len(data)))
        return _whole(response, data, fields)

    async def _read(self, response: Response) -> bytes | None:
        """:return: None where the body can't be changed; then it can still be delivered."""
        if response.status == 206 or field_value(response.seen, b"content-encoding") not in (None, b"identity"):
            return None
        if response.length is not None and response.length > self._cap:
            return None
        try:
            data = await keep_answer(response, self._cap)
        except BaseException:
            discard(response)
            raise
        return None if data is not None and len(data) > self._cap else data

    def _changed(self, value: Any) -> Any:
        wrapped = isinstance(value, dict) and isinstance(value.get("success"), bool)
        value = self._shape(value)
        if wrapped or not self._wrap:
            return value
        now = datetime.fromtimestamp(self._epoch(), timezone.utc).isoformat(timespec="milliseconds")
        return {"success": True, "data": value, "timestamp": now.replace("+00:00", "Z")}


def _unchanged(why: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"The service's answer can't be changed as it has to be. {why}")


def is_json(response: Response) -> bool:
    """By its type."""
    kind = (field_value(response.seen, b"content-type") or b"").partition(b";")[0].strip().lower()
    return kind in (b"application/json", b"text/json") or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _fields(response: Response) -> list[Field]:
    return [
        (name, weak(value) if name.lower() == b"etag" else value)
        for name, value in response.seen
        if name.lower() not in _OF_BYTES
    ]


def _whole(response: Response, data: bytes, fields: list[Field]) -> Response:
    made = Response(response.status, response.reason, fields, data)
    made.lines = response.lines
    return made
