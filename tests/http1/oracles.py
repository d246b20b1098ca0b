"""
Other readers of HTTP/1.1, brought to one shape, so that ours can be held against them.

A reader gets all bytes of a connection and says which messages it saw, and whether it went on, stopped at a
message that ends the connection, or refused.
"""

from __future__ import annotations

import h11
import httptools
from attrs import define, field

from apigw.http1.body import ChunkedDecoder, CloseDecoder, LengthDecoder
from apigw.http1.errors import BadMessage
from apigw.http1.head import HeadLimits, find_head
from apigw.http1.request import parse_request_head
from apigw.http1.response import CHUNKED, CLOSE, LENGTH, find_response_head, parse_response_head

LIMITS = HeadLimits()


@define
class Message:
    """
    :ivar start: method and target, or the status.
    :ivar fields: names in lower case.
    :ivar complete: its end was seen.
    """

    start: tuple[bytes | int, ...]
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False


@define
class Reading:
    """
    :ivar refused: the reason where something after the messages was refused.
    :ivar closing: no message may follow the last one.
    """

    messages: list[Message] = field(factory=list)
    refused: str = ""
    closing: bool = False


def lower(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in fields]


def our_requests(wire: bytes) -> Reading:
    reading = Reading()
    try:
        while not reading.closing:
            end = find_head(wire, LIMITS)
            if end < 0:
                break
            head = parse_request_head(wire[:end])
            wire = wire[end:]
            message = Message((head.method, head.target), lower(head.fields))
            reading.messages.append(message)
            if head.chunked:
                decoder: ChunkedDecoder | LengthDecoder = ChunkedDecoder(LIMITS)
            else:
                decoder = LengthDecoder(head.content_length or 0)
            message.body = b"".join(decoder.feed(wire))
            if not decoder.done:
                break
            message.complete = True
            wire = decoder.rest
            reading.closing = not head.keep_alive
    except BadMessage as error:
        reading.refused = error.code
    return reading


def our_response(wire: bytes, method: bytes, closed: bool) -> Reading:
    """The first final response, and what came before it."""
    reading = Reading()
    try:
        while not reading.closing:
            end = find_response_head(wire, LIMITS)
            if end < 0:
                break
            head = parse_response_head(wire[:end], method)
            wire = wire[end:]
            message = Message((head.status,), lower(head.fields))
            reading.messages.append(message)
            if head.status < 200 and head.status != 101:
                message.complete = True
                continue
            decoder: ChunkedDecoder | LengthDecoder | CloseDecoder
            if head.framing == CHUNKED:
                decoder = ChunkedDecoder(LIMITS, 502)
            elif head.framing == CLOSE:
                decoder = CloseDecoder()
            elif head.framing == LENGTH:
                assert head.content_length is not None
                decoder = LengthDecoder(head.content_length, 502)
            else:
                decoder = LengthDecoder(0)
            message.body = b"".join(decoder.feed(wire))
            if closed:
                decoder.eof()
            message.complete = decoder.done
            reading.closing = True
    except BadMessage as error:
        reading.refused = error.code
    return reading


def h11_requests(wire: bytes) -> Reading:
    reading = Reading()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMITS.size)
    connection.receive_data(wire)
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                reading.messages.append(Message((event.method, event.target), list(event.headers)))
            elif isinstance(event, h11.Data):
                reading.messages[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                reading.messages[-1].complete = True
                # Not a success, so that after CONNECT and Upgrade HTTP goes on.
                connection.send(h11.Response(status_code=405, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    reading.closing = True
                    break
                connection.start_next_cycle()
            else:
                break
    except h11.RemoteProtocolError as error:
        reading.refused = str(error)
    return reading


def h11_response(wire: bytes, method: bytes, closed: bool) -> Reading:
    reading = Reading()
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMITS.size)
    connection.send(h11.Request(method=method, target=b"/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    if closed:
        connection.receive_data(b"")
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.InformationalResponse):
                reading.messages.append(Message((event.status_code,), list(event.headers), b"", True))
            elif isinstance(event, h11.Response):
                reading.messages.append(Message((event.status_code,), list(event.headers)))
            elif isinstance(event, h11.Data):
                reading.messages[-1].body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                reading.messages[-1].complete = True
                reading.closing = True
                break
            else:
                break
    except h11.RemoteProtocolError as error:
        reading.refused = str(error)
    return reading


class _Events:
    """What httptools calls while it reads."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.parser: httptools.HttpRequestParser | httptools.HttpResponseParser
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = True

    def on_message_begin(self) -> None:
        self.url = b""
        self.fields = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if isinstance(self.parser, httptools.HttpRequestParser):
            start: tuple[bytes | int, ...] = (self.parser.get_method(), self.url)
        else:
            start = (self.parser.get_status_code(),)
        self.reading.messages.append(Message(start, self.fields))
        self.fields = []  # those that follow are trailers

    def on_body(self, body: bytes) -> None:
        self.reading.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.reading.messages[-1].complete = True
        self.reading.closing = not self.parser.should_keep_alive()


def httptools_requests(wire: bytes) -> Reading:
    events = _Events()
    events.parser = httptools.HttpRequestParser(events)
    return _run(events, wire)


def httptools_response(wire: bytes) -> Reading:
    """httptools can't be told of the request's method; give it answers to GET only."""
    events = _Events()
    events.parser = httptools.HttpResponseParser(events)
    return _run(events, wire)


def _run(events: _Events, wire: bytes) -> Reading:
    try:
        events.parser.feed_data(wire)
    except httptools.HttpParserUpgrade:
        events.reading.closing = True
    except httptools.HttpParserError as error:
        events.reading.refused = repr(error)
    return events.reading
