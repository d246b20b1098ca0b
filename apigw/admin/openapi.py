"""The description of the admin API, made of the table by which it answers. Source: OpenAPI 3.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apigw.admin.operations import Asked, Operation, Schema
from apigw.policy.revocations import KINDS, MAX_VALUE

PATH = "/api/openapi.json"

PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}

ERRORS = {
    400: "Something in it is wrong; the detail says what.",
    401: "The admin token is needed.",
    403: "Not for whoever asks from there.",
    404: "There is none of that name.",
    405: "Not by this method.",
    409: "It can't be done now; the detail says why.",
    413: "The body is too large.",
    415: "The body must be JSON.",
    503: "There is no room for it.",
}


def operation(operations: Sequence[Operation], version: str, revocations: bool) -> Operation:
    """
    What serves the description.

    :param revocations: there are tokens, so that some may be revoked.
    """
    described: dict[str, Any] = {}

    def describe(_: Asked) -> dict[str, Any]:
        return described

    itself = Operation("GET", PATH, "This description.", describe)
    described |= description([*operations, itself], version, revocations)
    return itself


def description(operations: Sequence[Operation], version: str, revocations: bool) -> dict[str, Any]:
    """As JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one)
    paths |= _reload()
    if revocations:
        paths |= _revocations()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "apigw admin API",
            "version": version,
            "description": "What operators see of a gateway and do to it. Each action is logged.",
        },
        "security": [{"token": []}, {}],
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The admin token; none is needed where none is configured.",
                }
            },
            "schemas": {"Problem": PROBLEM},
        },
        "paths": paths,
    }


def _described(one: Operation) -> dict[str, Any]:
    statuses = [400, 401, 403, 405, *one.errors]
    if one.takes is not None:
        statuses += [413, 415]
    media: dict[str, Any] = {"schema": {"type": "string"}}
    if one.media == "application/json":
        media = {"schema": one.gives}
    found: dict[str, Any] = {
        "operationId": one.method.lower() + "".join(part.title() for part in one.path.replace(".", "-").split("/")),
        "summary": one.text,
        "responses": {"200": {"description": "Done.", "content": {one.media: media}}} | _errors(statuses),
    }
    if one.acts or one.media == "text/event-stream":
        found["responses"] |= _errors([503])
    if one.query:
        found["parameters"] = [
            {"name": each.name, "in": "query", "description": each.text, "schema": each.schema} for each in one.query
        ]
    if one.takes is not None:
        found["requestBody"] = _body(
            {
                "type": "object",
                "properties": one.takes,
                "required": list(one.needs),
                "additionalProperties": False,
            }
        )
    return found


def _body(schema: Schema) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _errors(statuses: Sequence[int]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": ERRORS[status], "content": content} for status in sorted(set(statuses))}


def _ok(schema: Schema, status: int = 200) -> dict[str, Any]:
    return {str(status): {"description": "Done.", "content": {"application/json": {"schema": schema}}}}


def _reload() -> dict[str, Any]:
    told: Schema = {"type": "object"}
    common = [401, 403, 405]
    return {
        "/api/reload": {
            "get": {
                "operationId": "getReload",
                "summary": "How the last reload of the configuration ended.",
                "responses": _ok(told) | _errors(common),
            },
            "post": {
                "operationId": "postReload",
                "summary": "Take the configuration that there is now; 409 where it is refused and the old one stays.",
                "responses": _ok(told) | _ok(told, 409) | _errors(common),
            },
        }
    }


def _revocations() -> dict[str, Any]:
    value: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_VALUE}
    seconds: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e11}
    entry: Schema = {"type": "object", "required": ["expires"]}
    each = {**dict.fromkeys(KINDS, value), "expires": seconds, "issued_before": seconds}
    common = [401, 403, 405]
    about = [400, 404, *common]
    one = [
        {"name": "kind", "in": "path", "required": True, "schema": {"type": "string", "enum": list(KINDS)}},
        {"name": "value", "in": "path", "required": True, "schema": value},
    ]
    asked = [{"name": kind, "in": "query", "required": False, "schema": value} for kind in KINDS]
    listed = {"type": "object", "required": ["revocations", "total", "max"]}
    return {
        "/api/revocations": {
            "get": {
                "operationId": "getRevocations",
                "summary": "Tokens that count no more.",
                "responses": _ok(listed) | _errors(common),
            },
            "delete": {
                "operationId": "deleteRevocationAsked",
                "summary": "Let the one count again that jti or sub names, for values that a path can't have.",
                "parameters": asked,
                "responses": {"204": {"description": "Done."}} | _errors([*about, 503]),
            },
            "post": {
                "operationId": "postRevocation",
                "summary": "Have a token, or all of a user, count no more: jti or sub, and until when.",
                "requestBody": _body({"type": "object", "properties": {**each, "for": {"type": "string"}}}),
                "responses": _ok(entry, 201) | _errors([400, 413, 415, 503, *common]),
            },
        },
        "/api/revocations/{kind}/{value}": {
            "get": {
                "operationId": "getRevocation",
                "summary": "One of them.",
                "parameters": one,
                "responses": _ok(entry) | _errors(about),
            },
            "delete": {
                "operationId": "deleteRevocation",
                "summary": "Let it count again.",
                "parameters": one,
                "responses": {"204": {"description": "Done."}} | _errors([*about, 503]),
            },
        },
    }
