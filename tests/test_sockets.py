"""Sockets to listen on, bound here or passed on."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from apigw.config.endpoints import parse_endpoint
from apigw.sockets import PASSED, Sockets, passing


def test_what_is_bound_listens_and_stays_in_this_process() -> None:
    with Sockets({}).open(parse_endpoint("tcp:0:interface=127.0.0.1")) as listening:
        assert not os.get_inheritable(listening.fileno())
        assert not listening.getblocking()
        with socket.create_connection(listening.getsockname()):
            pass


def test_an_address_of_ipv6_needs_no_family() -> None:
    with Sockets({}).open(parse_endpoint(r"tcp:0:interface=\:\:1")) as listening:
        assert listening.family == socket.AF_INET6


def test_a_port_that_is_taken_is_told() -> None:
    with Sockets({}).open(parse_endpoint("tcp:0:interface=127.0.0.1")) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sockets({}).open(parse_endpoint(f"tcp:{port}:interface=127.0.0.1"))


def test_a_unix_socket_has_its_mode_and_follows_one_that_nobody_listens_on(tmp_path: Path) -> None:
    where = parse_endpoint(f"unix:{tmp_path}/gw.sock:mode=600")
    first = Sockets({}).open(where)
    assert (tmp_path / "gw.sock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError) as caught:
        Sockets({}).open(where)
    assert caught.value.errno == errno.EADDRINUSE
    first.close()
    Sockets({}).open(where).close()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "gw.sock").write_text("mine", encoding="ascii")
    with pytest.raises(OSError, match="in use"):
        Sockets({}).open(parse_endpoint(f"unix:{tmp_path}/gw.sock"))
    assert (tmp_path / "gw.sock").read_text("ascii") == "mine"


def test_sockets_that_were_passed_on_are_taken_in_order_and_the_rest_is_closed() -> None:
    given = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [one.getsockname()[1] for one in given]
    where = parse_endpoint("tcp:0:interface=127.0.0.1")
    sockets = Sockets({PASSED: passing({where.text: [one.detach() for one in given]})})
    with sockets.open(where) as first, sockets.open(where) as second:
        assert [first.getsockname()[1], second.getsockname()[1]] == ports[:2]
    sockets.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[2]))


def test_one_may_be_passed_on_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        sockets = Sockets({})
        sockets.add("tcp:8080", given.detach())
    with sockets.open(parse_endpoint("tcp:8080")) as taken:
        assert taken.getsockname()[1] == port


def test_a_socket_that_systemd_has_not_passed_is_told() -> None:
    with pytest.raises(ValueError, match="systemd has passed no socket 'public'"):
        Sockets({}).open(parse_endpoint("systemd:domain=INET:name=public"))
