"""
The two fields by which a trace goes from one service to the next.

Source: W3C Trace Context (https://www.w3.org/TR/trace-context/), sections 3.2 and 3.3; of level 2 the random flag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

SAMPLED = 0x01
RANDOM = 0x02

MAX_STATE = 512
"""Bytes of tracestate that are passed on whole (section 3.3.1.5 asks for as many); a longer one is dropped."""

MAX_MEMBERS = 32

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL).fullmatch
_KEY = rb"(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
_VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rb"(" + _KEY + rb")=" + _VALUE).fullmatch


@frozen
class Parent:
    """
    Who calls.

    :ivar trace_id: 32 hexadecimal digits, not all 0.
    :ivar span_id: 16 of them, not all 0.
    :ivar flags: :data:`SAMPLED` and :data:`RANDOM`; bits that have no meaning yet are left out.
    """

    trace_id: bytes
    span_id: bytes
    flags: int

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)


def parse_parent(values: Sequence[bytes]) -> Parent | None:
    """
    :param values: of all traceparent fields.
    :return: None where there is not exactly one that is right, so that a new trace is begun (section 3.2.2).
    """
    if len(values) != 1:
        return None
    match = _PARENT(values[0])
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more) or not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return Parent(trace_id, span_id, int(flags, 16) & (SAMPLED | RANDOM))


def parse_state(values: Sequence[bytes]) -> bytes:
    """
    :param values: of all tracestate fields.
    :return: one value for all of them; empty where there is nothing that may be passed on.
    """
    if not values:
        return b""
    members = [member for value in values for part in value.split(b",") if (member := part.strip(b" \t"))]
    joined = b",".join(members)
    if not members or len(members) > MAX_MEMBERS or len(joined) > MAX_STATE:
        return b""
    keys = set()
    for member in members:
        match = _MEMBER(member)
        if match is None or match[1] in keys:
            return b""
        keys.add(match[1])
    return joined


class Ratio:
    """
    Takes a share of all traces, the same ones in each service that takes as many: the last 56 bits of the trace id
    decide.

    Source: OpenTelemetry, TraceIdRatioBased.

    :param share: 0.0 to 1.0.
    """

    def __init__(self, share: float) -> None:
        self._all = share >= 1.0
        self._below = b"%014x" % min(int(share * 2**56), 2**56 - 1)

    def takes(self, trace_id: bytes) -> bool:
        return self._all or trace_id[18:] < self._below


def parent_line(trace_id: bytes, span_id: bytes, flags: int) -> bytes:
    """The field as it goes on the wire. :param flags: :data:`SAMPLED` and :data:`RANDOM`."""
    return b"traceparent: 00-%b-%b-%02x\r\n" % (trace_id, span_id, flags)
