"""What has come in on a connection while the loop was busy: the kernel has it, and nobody has read it yet."""

from __future__ import annotations

import select
from typing import Any


def unread(transport: Any) -> bool:
    """
    Whether something waits to be read, a request or the end: to close now would reset the connection, and that request
    be lost (RFC 9112 section 9.6). Timers that are due run before what is due to be read.

    :param transport: of a connection; one without a socket has nothing unread.
    """
    handle = getattr(transport, "socket", None)
    if handle is None or handle.fileno() < 0:
        return False
    looking = select.poll()
    looking.register(handle.fileno(), select.POLLIN)
    return bool(looking.poll(0))
