"""What nobody has read yet, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from apigw.web.unread import unread


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_it_is_what_the_kernel_has(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    transport = SimpleNamespace(socket=one)
    assert not unread(transport)
    other.send(b"x")
    assert unread(transport)
    one.recv(1)
    assert not unread(transport)
    other.close()
    assert unread(transport)


def test_what_has_no_socket_or_none_any_more_has_nothing_unread(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = ends
    other.send(b"x")
    one.close()
    assert not unread(SimpleNamespace(socket=one))
    assert not unread(SimpleNamespace())
