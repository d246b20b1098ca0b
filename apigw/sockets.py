"""Listening sockets: bound here, or taken over from systemd, from a supervisor, or from the process before this one."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString

from apigw.config.endpoints import ListenEndpoint

PASSED = "APIGW_SOCKETS"
"""Variable with the sockets that a process of the gateway passes to another: JSON, endpoints and their descriptors."""


class Sockets:
    """
    :param environ: says what was passed on to this process; whoever starts others must not leave that to them.

    A socket is known by the text of its endpoint. What is bound here is non-blocking and not inheritable.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._passed: dict[str, list[int]] = json.loads(environ.get(PASSED, "{}"))
        for descriptors in self._passed.values():
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)

    def add(self, where: str, descriptor: int) -> None:
        """Another one was passed on later."""
        self._passed.setdefault(where, []).append(descriptor)

    def open(self, where: ListenEndpoint) -> socket.socket:
        """
        :raises OSError: it can't be bound. :raises ValueError: systemd has passed none for it.
        """
        passed = self._passed.get(where.text)
        if passed:
            return _ready(socket.socket(fileno=passed.pop(0)))
        if where.family == "systemd":
            return _ready(socket.socket(fileno=os.dup(_given(where))))
        return _bound(where)

    def close(self) -> None:
        """Close what nobody has taken."""
        for descriptors in self._passed.values():
            for descriptor in descriptors:
                os.close(descriptor)
        self._passed.clear()


def passing(sockets: Mapping[str, list[int]]) -> str:
    """What :data:`PASSED` must be for a process that inherits these descriptors, by the endpoints' texts."""
    return json.dumps(dict(sockets))


def _given(where: ListenEndpoint) -> int:
    """
    The descriptor of a socket of systemd. Twisted has taken the variables that tell (sd_listen_fds(3)) when it was
    loaded, so it is asked.
    """
    try:
        endpoint: Any = serverFromString(None, where.text)
    except LookupError:
        raise ValueError(f"systemd has passed no socket {where.inherited!r}, see Sockets= of the service") from None
    return int(endpoint.fileno)


def _ready(taken: socket.socket) -> socket.socket:
    taken.setblocking(False)
    return taken


def _bound(where: ListenEndpoint) -> socket.socket:
    if where.family == "unix":
        _clear(where.path)
        made = socket.socket(socket.AF_UNIX)
    else:
        six = where.family == "tcp6" or ":" in where.interface
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.setblocking(False)
        if where.family == "unix":
            made.bind(where.path)
            Path(where.path).chmod(where.mode)
        else:
            made.bind((where.interface, where.port or 0))
        made.listen(where.backlog)
    except BaseException:
        made.close()
        raise
    return made


def _clear(path: str) -> None:
    """
    Remove a socket that nobody listens on any more.

    :raises OSError: somebody does.
    """
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
