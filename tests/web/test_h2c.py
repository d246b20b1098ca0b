"""Clients that know beforehand, told from the others."""

from __future__ import annotations

import pytest
from hyperframe.frame import SettingsFrame

from apigw.policy.http2 import PREFACE
from apigw.web.h2 import Http2Connection
from apigw.web.h2c import PriorKnowledge
from apigw.web.site import ChannelSettings
from tests.kit import Memory, Pipe

GET = b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n"


def arriving(memory: Memory) -> Pipe:
    return Pipe(PriorKnowledge(memory.site).buildProtocol(None))


@pytest.mark.parametrize("size", [1, 3, 24, 100])
def test_http2_is_known_by_its_preface(size):
    memory = Memory()
    pipe = arriving(memory)
    data = PREFACE + SettingsFrame(0).serialize()
    for at in range(0, len(data), size):
        pipe.feed(data[at : at + size])
    assert isinstance(pipe.protocol, Http2Connection)
    assert pipe.take()[3] == 4
    assert memory.site.connections == 1
    pipe.end()
    assert memory.site.connections == 0


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PRI", b"PUT"])
def test_all_else_is_http1(method):
    memory = Memory()
    pipe = arriving(memory)
    for byte in GET.replace(b"GET", method):
        pipe.feed(bytes([byte]))
    [service] = memory.dials
    assert service.take().startswith(method + b" / HTTP/1.1\r\n")
    pipe.end()
    assert memory.site.connections == 0


@pytest.mark.parametrize("start", [b"", PREFACE[:10]])
def test_who_says_nothing_is_cut(start):
    memory = Memory(settings=ChannelSettings(header_timeout=1.0))
    pipe = arriving(memory)
    pipe.feed(start)
    assert memory.site.connections == 1
    memory.clock.advance(1.0)
    assert (pipe.closed, memory.site.connections) == ("aborted", 0)


def test_a_stop_does_not_wait_for_who_has_said_nothing():
    memory = Memory()
    pipe = arriving(memory)
    ended: list[None] = []
    memory.site.drain(30.0).addCallback(ended.append)
    memory.clock.advance(1.0)
    assert (pipe.closed, ended) == ("aborted", [None])
