"""What can be asked of the admin listener: one table, by which requests are answered and described."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from attrs import field, frozen
from twisted.logger import Logger

from apigw.admin.bodies import MAX_BODY, json_object
from apigw.admin.done import Asking, Done
from apigw.admin.health import answer
from apigw.dates import HttpDate
from apigw.errors import ClientError, MethodNotAllowed, RouteNotFound
from apigw.messages import Exchange, Response

Schema = Mapping[str, Any]
"""As JSON Schema has it."""

NOTHING: Schema = {"type": "object"}


@frozen
class Asked:
    """
    :ivar exchange: None where something is done again that was asked for before.
    :ivar query: of parameters that are named more than once the last.
    :ivar body: an object that has what the operation needs; empty for operations without a body.
    """

    exchange: Exchange | None
    query: Mapping[str, str]
    body: Mapping[str, Any]


@frozen
class Parameter:
    """Of a query."""

    name: str
    schema: Schema
    text: str


Do = Callable[[Asked], object]


@frozen
class Operation:
    """
    :ivar path: below the root, such as ``/api/routes``.
    :ivar do: gives the value of the answer, or an answer as it stands; may be awaited for.
    :ivar takes: the properties of the body; None for no body.
    :ivar needs: those of them that must be there.
    :ivar gives: of the answer.
    :ivar acts: it changes something, which is logged.
    :ivar errors: statuses that it may have besides those that all may have.
    :ivar cap: bytes of the body.
    """

    method: str
    path: str
    text: str
    do: Do
    gives: Schema = NOTHING
    query: tuple[Parameter, ...] = ()
    takes: Schema | None = None
    needs: tuple[str, ...] = ()
    acts: bool = False
    errors: tuple[int, ...] = ()
    cap: int = MAX_BODY
    media: str = "application/json"
    tags: tuple[str, ...] = field(default=())


def wrong(text: str) -> ClientError:
    return ClientError(text, code="bad-request", status=400)


class Operations:
    """
    :param operations: in the order in which they are described.
    :param done: takes down those that change something.
    """

    _log = Logger()

    def __init__(self, operations: Iterable[Operation], date: HttpDate, done: Done) -> None:
        self.all = tuple(operations)
        self._date = date
        self._done = done
        self._paths: dict[bytes, dict[str, Operation]] = {}
        for operation in self.all:
            self._paths.setdefault(operation.path.encode(), {})[operation.method] = operation

    def __call__(self, exchange: Exchange) -> Response | Awaitable[Response]:
        """
        :raises RouteNotFound: there is no such path. :raises MethodNotAllowed:
        :raises ClientError: something isn't as the operation's description says.
        """
        request = exchange.request
        methods = self._paths.get(request.path)
        if methods is None:
            raise RouteNotFound("There is no such view or action; /api/openapi.json tells which there are.")
        method = request.method.decode("latin-1")
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
            raise MethodNotAllowed(fields=[(b"Allow", allow.encode())])
        query = _query(operation, request.query)
        if operation.takes is None:
            done = operation.do(Asked(exchange, query, {}))
            if not isinstance(done, Awaitable):
                return self._answer(exchange, operation, done, {})
            return self._later(exchange, operation, done)
        return self._with_body(exchange, operation, query)

    async def _later(self, exchange: Exchange, operation: Operation, done: Awaitable[object]) -> Response:
        return self._answer(exchange, operation, await done, {})

    async def _with_body(self, exchange: Exchange, operation: Operation, query: Mapping[str, str]) -> Response:
        body = await json_object(exchange, operation.cap)
        assert operation.takes is not None
        _check(operation.takes, operation.needs, body)
        if operation.acts:
            self._done.check()
        done = operation.do(Asked(exchange, query, body))
        if isinstance(done, Awaitable):
            done = await done
        return self._answer(exchange, operation, done, body)

    def _answer(self, exchange: Exchange, operation: Operation, done: object, body: Mapping[str, Any]) -> Response:
        if operation.acts:
            self._acted(operation, body, exchange.client_ip or "a UNIX socket")
        return done if isinstance(done, Response) else answer(200, b"OK", done, self._date)

    def _acted(self, operation: Operation, body: Mapping[str, Any], who: str) -> None:
        what = " ".join(f"{name}={value!r}" for name, value in body.items())
        self._log.info("admin: {path} {what} by {who}", path=operation.path, what=what, who=who)
        written = json.dumps(body).encode()
        self._done.note((operation.method.encode(), operation.path.encode(), b"application/json", written))

    async def repeat(self, asking: Asking) -> None:
        """
        Do again what an operator has had another process do.

        :raises GatewayError: it can't be done here.
        """
        method, target, _, body = asking
        operation = self._paths.get(target, {}).get(method.decode("latin-1"))
        if operation is None or not operation.acts or operation.takes is None:
            raise RouteNotFound("There is no such action.")
        value = json.loads(body)
        _check(operation.takes, operation.needs, value)
        done = operation.do(Asked(None, {}, value))
        if isinstance(done, Awaitable):
            await done
        self._acted(operation, value, "the process before")


def _query(operation: Operation, query: bytes) -> dict[str, str]:
    found = dict(parse_qsl(query[1:].decode("latin-1"), keep_blank_values=True))
    for parameter in operation.query:
        text = found.get(parameter.name)
        if text is not None:
            _check_text(parameter, text)
    return found


def _check_text(parameter: Parameter, text: str) -> None:
    schema = parameter.schema
    if schema["type"] == "integer":
        low, high = schema["minimum"], schema["maximum"]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise wrong(f"{parameter.name} must be a whole number from {low} to {high}.")
    elif len(text) > schema.get("maxLength", len(text)):
        raise wrong(f"{parameter.name} is too long.")


def _check(takes: Schema, needs: Iterable[str], body: Mapping[str, Any]) -> None:
    """What is used of JSON Schema here, with errors that say what to do."""
    for name in needs:
        if name not in body:
            raise wrong(f"{name} is missing.")
    for name, value in body.items():
        schema = takes.get(name)
        if schema is None:
            raise wrong(f"{name[:64]!r} is not known; there are {', '.join(takes)}.")
        _check_value(name, schema, value)


def _check_value(name: str, schema: Schema, value: object) -> None:
    kind = schema["type"]
    if kind == "boolean":
        if not isinstance(value, bool):
            raise wrong(f"{name} must be true or false.")
    elif kind == "string":
        if not isinstance(value, str):
            raise wrong(f"{name} must be text.")
        if "enum" in schema and value not in schema["enum"]:
            raise wrong(f"{name} must be one of {', '.join(schema['enum'])}.")
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            raise wrong(f"{name} must have {schema.get('minLength', 0)} to {schema.get('maxLength')} characters.")
    elif kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(f"{name} must be a number.")
        if not schema["minimum"] <= value <= schema["maximum"]:
            raise wrong(f"{name} must be from {schema['minimum']} to {schema['maximum']}.")
    elif kind == "array":
        if not isinstance(value, list) or len(value) > schema["maxItems"]:
            raise wrong(f"{name} must be a list of up to {schema['maxItems']}.")
        for one in value:
            _check_value(name, schema["items"], one)
