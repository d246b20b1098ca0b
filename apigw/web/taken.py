"""What the other end of a connection has said it has: the kernel knows, while the event loop sees its buffers only."""

from __future__ import annotations

import socket
import sys

BYTES_ACKED = 120
"""Where Linux tells how many bytes have been acknowledged (include/uapi/linux/tcp.h: tcp_info.tcpi_bytes_acked)."""


def taken(handle: socket.socket | None) -> int:
    """Bytes that the other end has said it has; always 0 where the system doesn't tell."""
    if handle is None or handle.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return 0
    told = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED + 8)
    return int.from_bytes(told[BYTES_ACKED:], sys.byteorder)
