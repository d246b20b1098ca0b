"""HTTP/2 in the hands of a test: frames by hyperframe, fields by hpack, and no state machine that would object."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.wire.sockets import Cut, Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST = 2**31 - 1

Fields = list[tuple[bytes, bytes]]


@define
class Answer:
    """
    What came on a stream.

    :ivar heads: of 1xx answers, then of the final one, then the trailers.
    :ivar reset: the code that it was reset with.
    """

    heads: list[Fields] = field(factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Of the last head that has one."""
        return [int(dict(head)[b":status"]) for head in self.heads if head[:1] and head[0][0] == b":status"][-1]

    @property
    def statuses(self) -> list[int]:
        return [int(dict(head)[b":status"]) for head in self.heads if head[0][0] == b":status"]

    def one(self, name: bytes) -> bytes:
        """The value of a field that is there once."""
        [value] = [value for head in self.heads for key, value in head if key == name]
        return value


class Http2Wire:
    """
    A client.

    :param window: of each stream, and of the connection beyond what that has at first.

    :ivar answers: by number of the stream.
    :ivar others: all frames that belong to no answer.
    :ivar goaways: those of them that are GOAWAY.
    """

    def __init__(self, wire: Wire, window: int = LARGEST, quiet: bool = False) -> None:
        self.wire = wire
        self.answers: dict[int, Answer] = {}
        self.others: list[Frame] = []
        self.encoder, self._decoder = Encoder(), Decoder()
        self._next = 1
        self._head: list[bytes] = []
        if not quiet:
            wire.send(PREFACE)
            self.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window}))
            if window == LARGEST:
                self.send(WindowUpdateFrame(0, window_increment=LARGEST - 65535))

    @property
    def goaways(self) -> list[GoAwayFrame]:
        return [frame for frame in self.others if isinstance(frame, GoAwayFrame)]

    @property
    def table(self) -> int:
        """Bytes of the table of fields that the gateway wants to be kept."""
        return self._decoder.header_table.maxsize

    # -- sending -------------------------------------------------------------------------------------------------------

    def send(self, *frames: Frame) -> None:
        self.wire.send(b"".join(frame.serialize() for frame in frames))

    def head(self, fields: Iterable[tuple[bytes, bytes]], ended: bool = True) -> HeadersFrame:
        """The frame that begins the next request."""
        number, self._next = self._next, self._next + 2
        self.answers[number] = Answer()
        flags = ["END_HEADERS", *(["END_STREAM"] if ended else [])]
        return HeadersFrame(number, self.encoder.encode(list(fields)), flags=flags)

    def ask(
        self, path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET", body: bytes | None = None
    ) -> int:
        """
        Send a request.

        :param body: all of it; None for none; empty for one of which nothing is sent yet.
        :return: the stream's number.
        """
        frame = self.head(pseudo(path, method) + list(more), body is None)
        self.send(frame)
        if body:
            self.body(frame.stream_id, body, True)
        return frame.stream_id

    def body(self, number: int, data: bytes, ended: bool = False) -> None:
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)] or [b""]
        for piece in pieces[:-1]:
            self.send(DataFrame(number, piece))
        self.send(DataFrame(number, pieces[-1], flags=["END_STREAM"] if ended else []))

    def trailers(self, number: int, fields: Fields) -> None:
        self.send(HeadersFrame(number, self.encoder.encode(fields), flags=["END_HEADERS", "END_STREAM"]))

    def reset(self, number: int, code: int = 8) -> None:
        self.send(RstStreamFrame(number, error_code=code))

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self) -> Frame:
        """One frame. :raises Cut: there is none."""
        head = self.wire.exactly(9)
        frame, length = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(self.wire.exactly(length)))
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._head.append(frame.data)
            if isinstance(frame, HeadersFrame) and "END_STREAM" in frame.flags:
                self.answers[frame.stream_id].ended = True
            if "END_HEADERS" in frame.flags:
                fields = [
                    (bytes(name), bytes(value)) for name, value in self._decoder.decode(b"".join(self._head), raw=True)
                ]
                self.answers[frame.stream_id].heads.append(fields)
                self._head = []
        elif isinstance(frame, DataFrame):
            self.answers[frame.stream_id].body += frame.data
            self.answers[frame.stream_id].ended |= "END_STREAM" in frame.flags
        elif isinstance(frame, RstStreamFrame):
            self.answers[frame.stream_id].reset = frame.error_code
        else:
            self.others.append(frame)
        return frame

    def answer(self, number: int) -> Answer:
        """Read until it has ended, in whatever way."""
        answer = self.answers[number]
        while not answer.ended and answer.reset is None:
            self.read()
        return answer

    def settle(self) -> None:
        """Read until all that was sent is dealt with."""
        token = b"settled?"
        self.send(PingFrame(0, opaque_data=token))
        while True:
            frame = self.read()
            if isinstance(frame, PingFrame) and frame.opaque_data == token:
                return

    def goaway(self) -> GoAwayFrame:
        """Read until one comes."""
        while True:
            frame = self.read()
            if isinstance(frame, GoAwayFrame):
                return frame

    def goodbye(self) -> str:
        """Read until the connection is closed after a GOAWAY. :return: its reason."""
        try:
            while True:
                self.read()
        except Cut:
            pass
        last = self.goaways[-1]
        return last.additional_data.decode() if last.additional_data else ""

    def close(self) -> None:
        self.wire.close()


def pseudo(path: bytes = b"/", method: bytes = b"GET", authority: bytes = b"gw", scheme: bytes = b"http") -> Fields:
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]
