"""
Held against h11 and httptools (llhttp, the parser of Node.js): what we take they take, with the same meaning.

Where we take more, it is said here with the reason. That we take less is wanted: the tests of each module show what.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from .oracles import (
    Message,
    Reading,
    h11_requests,
    h11_response,
    httptools_requests,
    httptools_response,
    our_requests,
    our_response,
)
from .strategies import REQUESTS, RESPONSES, damaged


def values_stripped(message: Message) -> Message:
    """httptools leaves the white space after a value; RFC 9112 section 5.1 has it removed."""
    fields = [(name, value.rstrip(b" \t")) for name, value in message.fields]
    return Message(message.start, fields, message.body, message.complete)


def coding_lowered(message: Message) -> Message:
    """h11 lowers the case of ``chunked``."""
    fields = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in message.fields]
    return Message(message.start, fields, message.body, message.complete)


def compare(ours: Reading, theirs: Reading, alike: Callable[[Message], Message]) -> None:
    """
    Each message that we took is theirs too, with the same start, fields, body and end.

    So no two messages of ours can be one of theirs. They may have stopped where they close the connection and we don't.
    """
    for index, message in enumerate(ours.messages):
        if index == len(theirs.messages):
            assert theirs.closing or (ours.refused and not message.complete), (ours, theirs)
            return
        other = theirs.messages[index]
        assert alike(message).start == alike(other).start, (ours, theirs)
        assert alike(message).fields == alike(other).fields, (ours, theirs)
        if message.complete:
            assert (message.body, True) == (other.body, other.complete), (ours, theirs)
        elif not ours.refused:
            assert not other.complete, (ours, theirs)


HTTPTOOLS_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT"))
"""Those of the seeds that are on its list."""

_LATER_VERSION = re.compile(rb"HTTP/1\.[2-9]")
_TAB_AFTER_CODING = re.compile(rb"chunked *\t", re.IGNORECASE)


def upgrades_with_body(message: Message) -> bool:
    names = {name for name, _ in message.fields}
    return {b"connection", b"upgrade"} <= names and not names.isdisjoint((b"content-length", b"transfer-encoding"))


def beyond_httptools(wire: bytes, ours: Reading) -> bool:
    """
    What httptools refuses or frames otherwise, and why we don't follow.

    - Methods that aren't on its list: any token is one (RFC 9110 section 9.1).
    - Minor versions after 1: they are taken as 1.1 (RFC 9110 section 2.5).
    - ``chunked`` with a tab behind it: white space around a value is no part of it (RFC 9112 section 5.1).
    - A body where an upgrade is asked for: it belongs to the request (RFC 9110 section 7.8), and Java's HttpClient
      sends such requests. We read the body and don't upgrade.
    """
    methods = [start for message in ours.messages if isinstance(start := message.start[0], bytes)]
    return (
        not HTTPTOOLS_METHODS.issuperset(methods)
        or _LATER_VERSION.search(wire) is not None
        or _TAB_AFTER_CODING.search(wire) is not None
        or any(upgrades_with_body(message) for message in ours.messages)
    )


@settings(max_examples=400)
@given(st.lists(damaged(REQUESTS), min_size=1, max_size=2).map(b"".join))
def test_requests_as_h11(wire: bytes) -> None:
    """But for the empty line before a request, which h11 refuses and RFC 9112 section 2.2 has ignored."""
    ours = our_requests(wire)
    theirs = h11_requests(wire)
    if theirs.refused == "no request line received":
        return
    compare(ours, theirs, coding_lowered)


@settings(max_examples=400)
@given(st.lists(damaged(REQUESTS), min_size=1, max_size=2).map(b"".join))
def test_requests_as_httptools(wire: bytes) -> None:
    ours = our_requests(wire)
    if beyond_httptools(wire, ours):
        return
    compare(ours, httptools_requests(wire), values_stripped)


@settings(max_examples=400)
@given(damaged(RESPONSES), st.sampled_from((b"GET", b"HEAD")), st.booleans())
def test_response_as_h11(wire: bytes, method: bytes, closed: bool) -> None:
    """But for 101, which h11 refuses since it hasn't asked for it."""
    ours = our_response(wire, method, closed)
    if any(message.start == (101,) for message in ours.messages):
        return
    compare(ours, h11_response(wire, method, closed), coding_lowered)


@settings(max_examples=400)
@given(damaged(RESPONSES))
def test_response_as_httptools(wire: bytes) -> None:
    ours = our_response(wire, b"GET", closed=False)
    if beyond_httptools(wire, ours):
        return
    compare(ours, httptools_response(wire), values_stripped)
