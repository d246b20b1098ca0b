"""
What a client asks for over WebSocket, message by message, before the service sees it.

Source: RFC 6455 section 5; enisdenjo/graphql-ws, PROTOCOL.md (graphql-transport-ws);
apollographql/subscriptions-transport-ws, PROTOCOL.md (graphql-ws).
"""

from __future__ import annotations

from collections.abc import Callable

from apigw.policy.graphql.refused import Refused

_FIN, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASK, _LENGTH = 0x80, 0x7F
_CONTINUATION, _TEXT = 0, 1
_CONTROL = (8, 9, 10)


def _wrong(text: str) -> Refused:
    return Refused("socket", text)


class ClientMessages:
    """
    Lets the frames of a message out once the whole of it was looked at, and nothing but control frames once one was
    refused. Extensions, which could compress messages, must not have been agreed on.

    :param look: raises :class:`Refused`.
    :param cap: bytes of a message, with the heads of its frames.

    :ivar refused: why a message was, None while none was.
    """

    def __init__(self, look: Callable[[bytes], object], cap: int) -> None:
        self.refused: Refused | None = None
        self._look = look
        self._cap = cap
        self._waiting = bytearray()
        self._frames = bytearray()
        self._text = bytearray()
        self._broken = False

    def __call__(self, data: bytes) -> bytes:
        """
        :param data: as it came.
        :return: whole frames, which may go on.
        """
        out = bytearray()
        if self._broken:
            return b""
        self._waiting += data
        try:
            while self._frame(out):
                pass
        except Refused as refused:
            self.refused = self.refused or refused
            self._broken = True
        return bytes(out)

    def _frame(self, out: bytearray) -> bool:
        """
        :return: whether there was a frame.
        :raises Refused: where the next one would begin isn't known, or is not to be waited for.
        """
        waiting = self._waiting
        if len(waiting) < 2:
            return False
        opcode, length, head = waiting[0] & _OPCODE, waiting[1] & _LENGTH, 2
        if waiting[0] & _RESERVED or not waiting[1] & _MASK:
            raise _wrong("The frame is compressed or has no mask.")
        if length > 125:
            head += 2 if length == 126 else 8
            if len(waiting) < head:
                return False
            length = int.from_bytes(waiting[2:head], "big")
        end = head + 4 + length
        if opcode in _CONTROL:
            if length > 125 or not waiting[0] & _FIN:
                raise _wrong("The control frame is not valid.")
        elif opcode != (_CONTINUATION if self._frames else _TEXT):
            raise _wrong("The frame is none of a text.")
        elif len(self._frames) + end > self._cap:
            raise _wrong(f"The message is larger than {self._cap} bytes.")
        if len(waiting) < end:
            return False
        frame = bytes(waiting[:end])
        del waiting[:end]
        if opcode in _CONTROL:
            out += frame
            return True
        self._frames += frame
        self._text += unmasked(frame[head : head + 4], frame[head + 4 :])
        if frame[0] & _FIN:
            self._message(out)
        return True

    def _message(self, out: bytearray) -> None:
        frames, text = self._frames, bytes(self._text)
        self._frames, self._text = bytearray(), bytearray()
        if self.refused is not None:
            return
        try:
            self._look(text)
        except Refused as refused:
            self.refused = refused
        else:
            out += frames


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """The payload of a frame of a client, or back (RFC 6455 section 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
