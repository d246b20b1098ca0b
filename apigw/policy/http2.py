"""
What a client of HTTP/2 may cost: bounds on what is cheap to send and dear to receive, counted frame by frame.

The state machine that comes after it takes whatever is valid, at any rate; here valid frames are too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (RFC 9113 section 3.4)."""

FRAME_SIZE = 16384
"""Bytes of a frame's payload at most, either way: the least that may be asked for (RFC 9113 section 4.2)."""

HEAD = 9
"""Bytes of a frame before its payload."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Types of frames (RFC 9113 section 6)."""

END_STREAM, ACK, END_HEADERS = 0x01, 0x01, 0x04

SMALL, SHARE = 64, 0.1
"""DATA of fewer bytes than the one counts as so much of an idle frame, for it takes as long as any other frame."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x1, 0x2, 0x7, 0x8
FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 0x6, 0xB
"""Codes of errors (RFC 9113 section 7)."""


@frozen
class Allowed:
    """
    So many in a time.

    :ivar rate: a second.
    :ivar burst: at once.
    """

    rate: float
    burst: float


@frozen
class Http2Limits:
    """
    Of one connection.

    :ivar max_streams: requests under way.
    :ivar resets: streams that the client gives up, or makes us give up.
    :ivar pings: PING frames.
    :ivar settings: SETTINGS frames.
    :ivar idle_frames: frames that carry nothing: DATA without data, WINDOW_UPDATE beyond those that answers are worth,
        PRIORITY, and of types that aren't known; DATA with little data counts a tenth.
    :ivar max_continuations: CONTINUATION frames of one head.
    :ivar window: bytes of a body that may come before the service takes any.
    :ivar connection_window: the same, of all streams together.
    """

    max_streams: int = 100
    resets: Allowed = Allowed(50.0, 100.0)
    pings: Allowed = Allowed(2.0, 20.0)
    settings: Allowed = Allowed(1.0, 10.0)
    idle_frames: Allowed = Allowed(100.0, 1000.0)
    max_continuations: int = 8
    window: int = 65536
    connection_window: int = 1048576


class Excess(Exception):
    """
    The connection has to end.

    :ivar code: of the error, for GOAWAY.
    :ivar reason: a word for metrics.
    """

    def __init__(self, reason: str, code: int = ENHANCE_YOUR_CALM) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Allowance:
    """A bucket of tokens, full at first."""

    __slots__ = ("_allowed", "_at", "_left", "_reason")

    def __init__(self, reason: str, allowed: Allowed, now: float) -> None:
        self._reason = reason
        self._allowed = allowed
        self._left = allowed.burst
        self._at = now

    def spend(self, now: float, cost: float = 1.0) -> None:
        """:raises Excess: there were too many."""
        if self._left < cost:
            allowed = self._allowed
            self._left = min(allowed.burst, self._left + (now - self._at) * allowed.rate)
            self._at = now
            if self._left < cost:
                raise Excess(self._reason)
        self._left -= cost

    def grant(self, more: float) -> None:
        """Add to it, up to the burst."""
        self._left = min(self._allowed.burst, self._left + more)


class FrameGuard:
    """
    Takes apart what a client sends, and passes on whole frames.

    :param header_size: bytes of a head as sent, over all its frames.
    :param seconds: monotonic.

    :ivar idle_frames: more are allowed for what is sent to the client.
    :ivar resets: of streams; those that the client makes us reset have to be counted by who does that.
    """

    def __init__(self, limits: Http2Limits, header_size: int, seconds: Callable[[], float]) -> None:
        now = seconds()
        self._limits = limits
        self._header_size = header_size
        self._seconds = seconds
        self._buffer = bytearray()
        self._begun = False
        self._head_stream = 0
        self._head_size = 0
        self._continuations = 0
        self._pings = Allowance("pings", limits.pings, now)
        self._settings = Allowance("settings", limits.settings, now)
        self.idle_frames = Allowance("idle-frames", limits.idle_frames, now)
        self.resets = Allowance("resets", limits.resets, now)

    @property
    def awaits_head(self) -> bool:
        """Something has begun that should soon end: the preface, a head, or a frame that isn't DATA."""
        buffer = self._buffer
        return not self._begun or self._head_stream != 0 or (bool(buffer) and (len(buffer) < HEAD or buffer[3] != DATA))

    @property
    def partial_data(self) -> tuple[int, int]:
        """Stream, and bytes, of a DATA frame of which a part is here; zeros where there is none."""
        buffer = self._buffer
        if not self._begun or len(buffer) < HEAD or buffer[3] != DATA:
            return 0, 0
        return int.from_bytes(buffer[5:HEAD], "big"), len(buffer) - HEAD

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """
        :return: type and bytes of each frame that is complete; the first has the preface before it. Those that
            aren't fetched come with what is fed next, which may be nothing.
        :raises Excess: there is more of something than may be.
        """
        buffer = self._buffer
        buffer += data
        if not self._begun:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise Excess("not-http2", PROTOCOL_ERROR)
            if len(buffer) < len(PREFACE):
                return
            self._begun = True
            del buffer[: len(PREFACE)]
            yield SETTINGS, PREFACE
        at = 0
        try:
            while len(buffer) - at >= HEAD:
                length = int.from_bytes(buffer[at : at + 3], "big")
                kind, flags = buffer[at + 3], buffer[at + 4]
                if length > FRAME_SIZE:
                    raise Excess("frame-size", FRAME_SIZE_ERROR)
                if self._head_stream or kind == HEADERS:
                    # Before all of it is here, for a head is kept until it is whole.
                    self._check_size(length)
                end = at + HEAD + length
                if end > len(buffer):
                    break
                self._count(kind, flags, length, int.from_bytes(buffer[at + 5 : at + HEAD], "big"))
                frame = bytes(buffer[at:end])
                at = end
                yield kind, frame
        finally:
            del buffer[:at]

    def keep(self, data: bytes) -> int:
        """
        Take what is to be fed later.

        :return: bytes that are here.
        """
        self._buffer += data
        return len(self._buffer)

    def _check_size(self, length: int) -> None:
        if self._head_size + length > self._header_size:
            raise Excess("header-size")

    def _count(self, kind: int, flags: int, length: int, stream: int) -> None:
        if kind == HEADERS:
            self._head_size, self._continuations = length, 0
            self._head_stream = 0 if flags & END_HEADERS else stream
        elif kind == CONTINUATION:
            self._continuations += 1
            if self._continuations > self._limits.max_continuations:
                raise Excess("continuations")
            self._head_size += length
            if flags & END_HEADERS:
                self._head_stream = 0
        elif kind == DATA:
            if length < SMALL and not flags & END_STREAM:
                self.idle_frames.spend(self._seconds(), SHARE if length else 1.0)
        elif kind == RST_STREAM:
            self.resets.spend(self._seconds())
        elif kind == PING:
            self._pings.spend(self._seconds())
        elif kind == SETTINGS:
            self._settings.spend(self._seconds())
        elif kind != GOAWAY:
            self.idle_frames.spend(self._seconds())
        if not self._head_stream:
            self._head_size = 0


def resets_in(frames: bytes) -> int:
    """How many streams are reset by frames that are to be sent."""
    at = count = 0
    while at < len(frames):
        count += frames[at + 3] == RST_STREAM
        at += HEAD + int.from_bytes(frames[at : at + 3], "big")
    return count


def without_resets(frames: bytes) -> bytes:
    """Frames that are to be sent, but for those that reset streams."""
    at, kept = 0, b""
    while at < len(frames):
        end = at + HEAD + int.from_bytes(frames[at : at + 3], "big")
        if frames[at + 3] != RST_STREAM:
            kept += frames[at:end]
        at = end
    return kept
