"""Gives services and clients other fields, and clients other statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.client import responses

from apigw.messages import Exchange, Response
from apigw.pipeline import Stage
from apigw.policy.field_changes import FieldChanges
from apigw.policy.fields import Field
from apigw.policy.templates import Template
from apigw.stages.variables import field_text

REASONS = {status: reason.encode("ascii") for status, reason in responses.items()}


class RequestFields(Stage):
    """
    Adds fields with variables for the service. What a client has sent by their names is taken away by the forwarder.

    :param fields: names and templates of their values; a field whose value is empty isn't added.
    """

    pure = True

    def __init__(self, fields: Sequence[tuple[str, Template]]) -> None:
        self._fields = [(name.encode("ascii"), field_text(template)) for name, template in fields]

    def request(self, exchange: Exchange) -> None:
        for name, text in self._fields:
            value = text(exchange).strip(b" ")
            if value:
                exchange.lines += b"%b: %b\r\n" % (name, value)


class ResponseFields(Stage):
    """
    :param changes: of the fields of an answer.
    :param fields: that are added then, as for :class:`RequestFields`.
    :param statuses: what a service's own status becomes.
    """

    def __init__(
        self, changes: FieldChanges, fields: Sequence[tuple[str, Template]], statuses: Mapping[int, int]
    ) -> None:
        self._changes = changes
        self._trailing = changes.of_trailers or None
        self._fields = [(name.encode("ascii"), field_text(template)) for name, template in fields]
        self._statuses = dict(statuses)

    def response(self, exchange: Exchange, response: Response) -> None:
        if response.status < 200:
            return
        status = self._statuses.get(response.status)
        if status is not None and exchange.error is None:
            response.status, response.reason = status, REASONS.get(status, b"")
        if self._changes:
            response.fields = self._changes(response.seen)
            response.trailing = self._trailing
        added: list[Field] = []
        for name, text in self._fields:
            value = text(exchange).strip(b" ")
            if value:
                added.append((name, value))
        if added:
            response.fields = [*response.seen, *added]
