"""
Reads requests as GraphQL over HTTP has them, and refuses what services could read in another way than we do.

Source: GraphQL over HTTP, sections 5.3 (GET) and 5.4 (POST).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from apigw.policy.graphql.refused import Refused
from apigw.policy.json_shape import values

PARAMETERS = ("query", "operationName", "variables", "extensions", "id", "documentId", "doc_id")
"""What says what is to be executed; the last three are names that servers have for a persisted query."""

_FOLDED = {name.casefold(): name for name in PARAMETERS}

_INDEX = re.compile(r"[\[.]")

_IDS = ("id", "documentId", "doc_id")

_HASH = re.compile(r"[0-9a-f]{64}").fullmatch


@frozen
class Asked:
    """
    One operation.

    :ivar query: the document; None where it is named by ``id`` alone.
    :ivar id: of a persisted document; empty for none. :ivar hashed: it is a SHA-256, as APQ has it.
    :ivar given: the parameters as they came.
    """

    query: str | None
    operation: str | None
    variables: Mapping[str, Any]
    id: str
    hashed: bool
    given: Mapping[str, Any]


def malformed(text: str) -> Refused:
    return Refused("request", text)


def read_body(data: bytes) -> Asked | list[Asked]:
    """
    The body of a POST.

    :return: a list for a batch.
    :raises Refused: it isn't what it should be.
    """
    value = read_json(data, "The body")
    if isinstance(value, list):
        if not value:
            raise malformed("The batch is empty.")
        return [_asked(item) for item in value]
    return _asked(value)


def read_query(query: bytes) -> Asked:
    """
    The query of a GET's target.

    :param query: raw, with its ``?`` or without.
    :raises Refused: as :func:`read_body`.
    """
    given: dict[str, Any] = {}
    for name, value in _pairs(query):
        if _known(name):
            if name in given:
                raise malformed(f"The target has {name} twice.")
            given[name] = value
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = read_json(given[name].encode(), name) if given[name] else None
    if given.get("operationName") == "":
        del given["operationName"]
    return _asked(given)


def read_message(data: bytes) -> Asked | None:
    """
    A message of a client over WebSocket, by graphql-transport-ws or the graphql-ws before it.

    :return: None for one that asks for nothing.
    :raises Refused: as :func:`read_body`.
    """
    value = read_json(data, "The message")
    if not isinstance(value, dict):
        raise malformed("The message is not a JSON object.")
    for name in value:
        if name not in _MEMBERS and name.strip().casefold() in _MEMBERS:
            raise malformed("A name of the message is written in another way.")
    kind = value.get("type")
    if kind in _ASKING:
        return _asked(value.get("payload"))
    if kind not in _SAYING:
        raise malformed("The message is of no type that is known.")
    return None


_MEMBERS = ("type", "id", "payload")

_ASKING = ("subscribe", "start")

_SAYING = ("connection_init", "ping", "pong", "complete", "stop", "connection_terminate")


def check_bare(query: bytes) -> None:
    """
    :raises Refused: the query of a target says something of an operation.
    """
    for name, _ in _pairs(query):
        if _meant(name) is not None:
            raise malformed(f"The target has {name!r}, which stands in a GET's alone, or in a POST's body.")


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if not query or query == b"?":
        return []
    if b";" in query:
        raise malformed("The target's query has a semicolon, which some services take for a separator: encode it.")
    try:
        return parse_qsl(
            query.removeprefix(b"?").decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise malformed("The target's query is not encoded as it should be.") from None


VALUES = 100_000
"""Of one request, as :func:`apigw.policy.json_shape.values` counts them."""


def read_json(data: bytes, what: str) -> Any:
    """
    :param what: it is, for who sent it.
    :raises Refused: it isn't JSON, or could be read in several ways.
    """
    if values(data) > VALUES:
        raise malformed(f"{what} has more than {VALUES} values.")
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        # What holds half a surrogate pair has no UTF-8, so nobody could say what the service makes of it.
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise malformed(f"{what} is not JSON, or has a name twice.") from None
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _known(name: str) -> bool:
    """
    :raises Refused: some services would take it for one of ours.
    """
    ours = _meant(name)
    if ours is not None and ours != name:
        raise malformed(f"{ours} is written in another way.")
    return ours is not None


def _meant(name: str) -> str | None:
    """
    Which of ours a name could be taken for: by services that pass over the case of letters, over space, or that make an
    object of ``variables[name]``.
    """
    return _FOLDED.get(_INDEX.split(name, 1)[0].strip().casefold())


def _asked(value: Any) -> Asked:
    if not isinstance(value, dict):
        raise malformed("The request is not a JSON object.")
    for name in value:
        _known(name)
    query = _typed(value, "query", str)
    operation = _typed(value, "operationName", str)
    variables = _typed(value, "variables", dict) or {}
    extensions = _typed(value, "extensions", dict) or {}
    ids = [_typed(value, name, str) for name in _IDS if value.get(name) is not None]
    persisted = extensions.get("persistedQuery")
    hashed = persisted is not None
    if hashed:
        found = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if not isinstance(found, str) or not _HASH(found):
            raise malformed("extensions.persistedQuery has no sha256Hash of 64 digits.")
        ids.append(found)
    if len(ids) > 1:
        raise malformed("The request names a persisted query twice.")
    if query is None and not ids:
        raise malformed("The request has no query.")
    return Asked(query, operation, variables, ids[0] if ids else "", hashed, value)


def _typed(value: Mapping[str, Any], name: str, kind: type) -> Any:
    found = value.get(name)
    if found is not None and not isinstance(found, kind):
        raise malformed(f"{name} is not {'a string' if kind is str else 'an object'}.")
    return found
