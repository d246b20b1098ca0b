"""One request after the other over the whole path, in memory."""

from __future__ import annotations

import gc

import pytest

from apigw.messages import Timeouts
from apigw.policy.field_changes import FieldChanges
from apigw.stages.body_limit import BodyLimit
from apigw.stages.transform import ResponseFields
from apigw.upstream.pool import PoolSettings
from apigw.web.site import QUIET, ChannelSettings
from tests.kit import Memory, Pipe

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi"


def head_of(data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """First line, fields by lower-cased name, and what follows."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in lines}, body


def begin(memory: Memory, request: bytes = GET) -> tuple[Pipe, Pipe]:
    """A client that has sent ``request``, and the service's end of the connection made for it."""
    client = memory.client()
    client.feed(request)
    return client, memory.dials[-1]


def test_a_request_goes_out_and_its_answer_comes_back() -> None:
    memory = Memory()
    client, service = begin(
        memory, b"GET /a/%2F//b?x=[1]&y HTTP/1.1\r\nHost: h:1\r\nX-Case: Kept\r\nx-case: twice\r\n\r\n"
    )
    sent = service.take()
    first, fields, _ = head_of(sent)
    assert first == b"GET /a/%2F//b?x=[1]&y HTTP/1.1"
    assert fields[b"host"] == b"h:1"
    assert sent.index(b"X-Case: Kept") < sent.index(b"x-case: twice")
    service.feed(OK)
    first, fields, body = head_of(client.take())
    assert first == b"HTTP/1.1 200 OK"
    assert body == b"hi"
    assert fields[b"content-length"] == b"2"
    assert b"connection" not in fields
    assert memory.done[0].complete


def test_connections_are_kept_on_both_sides() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK)
    client.take()
    service.take()
    client.feed(GET)
    assert len(memory.dials) == 1
    assert service.take().startswith(b"GET /a ")
    service.feed(OK)
    assert client.take().endswith(b"hi")
    assert not client.closed


def test_pipelined_requests_are_answered_in_order() -> None:
    memory = Memory()
    client, service = begin(memory, GET + GET.replace(b"/a", b"/b") + GET.replace(b"/a", b"/c"))
    for name in (b"a", b"b", b"c"):
        assert service.take().startswith(b"GET /" + name + b" ")
        service.feed(OK.replace(b"hi", name + name))
        assert client.take().endswith(b"\r\n\r\n" + name + name)
    assert len(memory.done) == 3


def answered_at_once() -> tuple[Memory, Pipe]:
    """A client whose requests wait for nobody."""
    memory = Memory()
    memory.refuse_dials = ConnectionRefusedError()
    return memory, memory.client()


def test_pipelined_requests_that_are_answered_at_once_leave_others_their_turn() -> None:
    memory, client = answered_at_once()
    client.feed(GET * 100)
    first = len(memory.done)
    assert 1 < first < 20
    client.feed(GET)  # which waits for its turn
    assert len(memory.done) == first
    memory.clock.advance(0)
    assert len(memory.done) == 101
    assert client.take().count(b"HTTP/1.1 50") == 101


def test_who_pipelines_much_is_paused_until_it_is_dealt_with() -> None:
    memory, client = answered_at_once()
    count = 40_000 // len(GET)
    client.feed(GET * count)
    client.feed(GET * count)
    assert client.paused
    memory.clock.advance(0)
    assert not client.paused
    assert len(memory.done) == 2 * count


def test_who_leaves_amid_pipelined_requests_leaves_nothing() -> None:
    memory, client = answered_at_once()
    client.feed(GET * 100)
    client.reset()
    assert not [call for call in memory.clock.getDelayedCalls() if call.getTime() == memory.clock.seconds()]
    memory.clock.advance(0)
    assert len(memory.done) < 20


def test_pipelined_bytes_beyond_the_mark_pause_the_client() -> None:
    memory = Memory()
    client, service = begin(memory)
    client.feed(b"GET /" + b"x" * 70000)
    assert client.paused
    service.feed(OK)
    assert not client.paused


@pytest.mark.parametrize(
    ("request_line", "connection", "kept"),
    [
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"Connection: keep-alive\r\n", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", b"", True),
    ],
)
def test_persistence_follows_version_and_connection(request_line: bytes, connection: bytes, kept: bool) -> None:
    memory = Memory()
    client, service = begin(memory, request_line + b"\r\nHost: h\r\n" + connection + b"\r\n")
    service.feed(OK)
    _, fields, _ = head_of(client.take())
    assert bool(client.closed) is not kept
    if request_line.endswith(b"1.0"):
        assert fields[b"connection"] == (b"keep-alive" if kept else b"close")


def test_an_answer_of_unknown_length_is_chunked_for_11_and_closed_for_10() -> None:
    for version, expected in ((b"1.1", b"2\r\nhi\r\n2\r\nho\r\n0\r\n\r\n"), (b"1.0", b"hiho")):
        memory = Memory()
        client, service = begin(memory, b"GET / HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        service.feed(b"HTTP/1.1 200 OK\r\n\r\nhi")
        service.feed(b"ho")
        assert memory.done == []
        service.end()
        _, fields, body = head_of(client.take())
        assert body == expected
        assert (b"transfer-encoding" in fields) == (version == b"1.1")
        assert memory.done[0].complete


def test_a_chunked_answer_streams_with_its_trailers() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    assert client.take().endswith(b"\r\n\r\n5\r\nfirst\r\n")
    service.feed(b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\nX-Request-Id: forged\r\n\r\n")
    assert client.take() == b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\n\r\n"
    client.feed(GET)
    assert len(memory.dials) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_what_goes_from_the_head_does_not_come_as_a_trailer(at_once: bool) -> None:
    changes = FieldChanges([b"x-secret"], {b"x-old": b"X-New"})
    memory = Memory(stages=[ResponseFields(changes, [], {})])
    client, service = begin(memory)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Secret: 1\r\nX-Old: 2\r\n\r\n"
    rest = b"2\r\nhi\r\n0\r\nX_Secret: 1\r\nX-Old: 2\r\nX-New: 3\r\nX-Sum: 4\r\n\r\n"
    for piece in [head + rest] if at_once else [head, rest]:
        service.feed(piece)
    _, fields, body = head_of(client.take())
    assert b"x-secret" not in fields
    assert fields[b"x-new"] == b"2"
    assert body == b"2\r\nhi\r\n0\r\nX-Sum: 4\r\n\r\n"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bodyless_answers_keep_their_fields_and_have_no_body(status: bytes) -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 " + status + b'\r\nETag: "a"\r\n\r\n')
    first, fields, body = head_of(client.take())
    assert first == b"HTTP/1.1 " + status
    assert fields[b"etag"] == b'"a"'
    assert body == b""
    assert b"transfer-encoding" not in fields


def test_head_keeps_the_length_and_sends_no_body() -> None:
    memory = Memory()
    client, service = begin(memory, GET.replace(b"GET", b"HEAD"))
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    _, fields, body = head_of(client.take())
    assert fields[b"content-length"] == b"500"
    assert body == b""
    assert not client.closed


def test_a_cut_answer_is_cut_for_the_client_too() -> None:
    for framing in (b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n"):
        memory = Memory()
        client, service = begin(memory)
        service.feed(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        service.feed(b"4\r\nhalf\r\n")
        service.end()
        assert client.closed == "aborted"
        assert not memory.done[0].complete
        assert memory.done[0].error is not None
        assert memory.done[0].error.code == "upstream-reset"


def test_a_reset_is_no_end_of_an_answer_without_length() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    service.reset()
    assert client.closed == "aborted"
    assert not client.written.endswith(b"0\r\n\r\n")


# -- bodies of requests ----------------------------------------------------------------------------------------------


def test_a_body_that_came_with_the_head_leaves_with_it_in_one_write() -> None:
    memory = Memory()
    writes: list[bytes] = []
    client = memory.client()
    memory.pool.connect().addCallback(memory.pool.released)
    service = memory.dials[0]
    service.write = writes.append  # type: ignore[method-assign]
    client.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
    assert len(writes) == 1
    assert writes[0].endswith(b"Content-Length: 4\r\n\r\nbody")


def test_a_chunked_upload_streams_with_its_trailers() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    _, fields, body = head_of(service.take())
    assert fields[b"transfer-encoding"] == b"chunked"
    assert b"content-length" not in fields
    assert body == b"3\r\none\r\n"
    client.feed(b"3\r\ntwo\r\n0\r\nX-T: 1\r\nX_User-Id: root\r\n\r\n")
    assert service.take() == b"3\r\ntwo\r\n0\r\nX-T: 1\r\n\r\n"
    service.feed(OK)
    assert client.take().endswith(b"hi")
    assert memory.done[0].request.body is not None
    assert memory.done[0].request.body.received == 6


def test_content_length_zero_is_passed_on() -> None:
    memory = Memory()
    _, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length: 0\r\n" in service.take()


def test_a_service_that_does_not_read_pauses_the_client() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
    service.producer.pauseProducing()
    assert client.paused
    service.producer.resumeProducing()
    assert not client.paused


def test_a_client_that_does_not_read_pauses_the_service() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    client.producer.pauseProducing()
    assert service.paused
    client.producer.resumeProducing()
    assert not service.paused


def test_a_connection_whose_answer_ends_while_the_client_does_not_read_is_read_for_the_next_one() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    client.take()

    def write(data: bytes) -> None:
        """As a transport does whose buffer is full by that."""
        client.written += data
        client.producer.pauseProducing()

    client.write = write  # type: ignore[method-assign]
    service.feed(b"i")
    assert (client.take(), memory.done[0].complete) == (b"i", True)
    assert not service.paused
    service.take()
    _, again = begin(memory)
    assert again is service
    assert service.take().startswith(b"GET /a ")


def test_a_client_that_never_reads_is_cut_off() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    client.producer.pauseProducing()
    for _ in range(70):
        memory.clock.advance(1)
    assert client.closed == "aborted"
    assert service.closed == "aborted"


def test_a_body_over_the_cap_is_refused_by_its_length_before_it_is_read() -> None:
    memory = Memory(stages=[BodyLimit(10)])
    client = memory.client()
    client.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")
    first, fields, _ = head_of(client.take())
    assert first.startswith(b"HTTP/1.1 413 ")
    assert fields[b"connection"] == b"close"
    assert memory.dials == []
    assert client.half_closed


def test_a_chunked_body_over_the_cap_is_refused_as_soon_as_it_passes_it() -> None:
    memory = Memory(stages=[BodyLimit(10)])
    client, service = begin(
        memory, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n"
    )
    client.feed(b"8\r\n12345678\r\n")
    assert client.take().startswith(b"HTTP/1.1 413 ")
    assert service.closed == "aborted"


def test_an_early_answer_reaches_the_client_and_ends_the_connection() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome")
    service.feed(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
    first, fields, body = head_of(client.take())
    assert first.startswith(b"HTTP/1.1 413")
    assert body == b"no"
    assert fields[b"connection"] == b"close"
    assert client.half_closed
    assert service.closed == "aborted"
    client.feed(b"more of it")
    memory.clock.advance(6)
    assert client.closed


def test_an_answer_may_stream_while_the_upload_goes_on() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nping")
    service.take()
    service.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n")
    assert client.take().endswith(b"4\r\nping\r\n")
    client.feed(b"pong")
    assert service.take() == b"pong"
    service.feed(b"4\r\npong\r\n0\r\n\r\n")
    assert client.take().endswith(b"4\r\npong\r\n0\r\n\r\n")
    assert not client.closed
    client.feed(GET)
    assert len(memory.dials) == 1


# -- 1xx -------------------------------------------------------------------------------------------------------------


def test_100_is_sent_when_the_service_agrees_and_not_before() -> None:
    memory = Memory()
    client, service = begin(memory, b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert b"Expect: 100-continue\r\n" in service.take()
    assert client.take() == b""
    service.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.feed(b"ok")
    assert service.take() == b"ok"
    service.feed(OK)
    assert client.take().startswith(b"HTTP/1.1 200 OK")


def test_a_service_that_never_says_100_is_not_waited_for_without_end() -> None:
    memory = Memory(timeouts=Timeouts(first_byte=3))
    client, _ = begin(memory, b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    for _ in range(5):
        memory.clock.advance(1)
    assert client.take().startswith(b"HTTP/1.1 504 ")


def test_103_is_passed_on_and_not_to_http10() -> None:
    for version, expected in ((b"1.1", True), (b"1.0", False)):
        memory = Memory()
        client, service = begin(memory, b"GET / HTTP/" + version + b"\r\nHost: h\r\n\r\n")
        service.feed(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\n" + OK)
        answer = client.take()
        assert (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" in answer) is expected
        assert answer.endswith(b"hi")


def test_endless_1xx_answers_are_cut_off() -> None:
    memory = Memory()
    client, service = begin(memory)
    for _ in range(17):
        if not service.closed:
            service.feed(b"HTTP/1.1 102 Processing\r\n\r\n")
    assert b"HTTP/1.1 502 " in client.take()
    assert service.closed == "aborted"


# -- going away ------------------------------------------------------------------------------------------------------


def test_a_client_that_goes_away_cancels_the_request_at_the_service() -> None:
    memory = Memory()
    client, service = begin(memory)
    client.reset()
    assert service.closed == "aborted"
    assert memory.done[0].error is not None
    assert memory.done[0].error.status == 499
    assert memory.pool.size == 0


def test_a_client_that_goes_away_in_mid_upload_cancels_it() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome")
    client.end()
    assert service.closed == "aborted"
    assert [exchange.error and exchange.error.status for exchange in memory.done] == [499]


def test_a_client_that_goes_away_in_mid_answer_cancels_it() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    client.reset()
    assert service.closed == "aborted"
    assert not memory.done[0].complete


def test_a_client_that_shuts_its_sending_side_gets_its_answer() -> None:
    memory = Memory()
    client, service = begin(memory)
    client.shut()
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    service.feed(OK)
    assert client.take().endswith(b"hi")
    assert client.closed == "lost"


def test_a_client_that_goes_away_while_a_connection_is_made() -> None:
    memory = Memory()
    memory.hang_dials = True
    client = memory.client()
    client.feed(GET)
    client.reset()
    assert memory.pool.size == 0
    assert len(memory.done) == 1


# -- services that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"garbage\r\n\r\n", b"upstream-protocol-error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"upstream-protocol-error"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"upstream-protocol-error"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000, b"upstream-protocol-error"),
    ],
)
def test_an_answer_that_is_not_http_is_a_502(answer: bytes, code: bytes) -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(answer)
    first, fields, body = head_of(client.take())
    assert first == b"HTTP/1.1 502 Bad Gateway"
    assert fields[b"proxy-status"] == b"apigw; error=http_protocol_error"
    assert code in body
    assert service.closed == "aborted"
    assert not client.closed


def test_bytes_on_an_idle_connection_never_reach_another_client() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK)
    client.take()
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    assert service.closed
    other, service = begin(memory)
    assert len(memory.dials) == 2
    service.feed(OK)
    assert other.take().endswith(b"hi")


def test_bytes_after_an_answer_close_the_connection() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    assert client.take().endswith(b"hi")
    assert service.closed


@pytest.mark.parametrize("version", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: Close\r\n"])
def test_a_connection_that_the_service_ends_is_not_kept(version: bytes) -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(version + b"Content-Length: 2\r\n\r\nhi")
    assert client.take().endswith(b"hi")
    assert service.closed
    assert memory.pool.idle == []


def test_a_kept_connection_that_dies_is_not_retried_in_secret() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK)
    client.take()
    client.feed(GET.replace(b"GET", b"DELETE"))
    service.end()
    assert client.take().startswith(b"HTTP/1.1 502 ")
    assert len(memory.dials) == 1


def test_a_service_that_is_silent_is_a_504() -> None:
    memory = Memory(timeouts=Timeouts(first_byte=2, total=30))
    client, service = begin(memory)
    for _ in range(3):
        memory.clock.advance(1)
    first, fields, body = head_of(client.take())
    assert first == b"HTTP/1.1 504 Gateway Timeout"
    assert b"upstream-first-byte-timeout" in body
    assert fields[b"proxy-status"] == b"apigw; error=http_response_timeout"
    assert service.closed == "aborted"


def test_a_long_upload_is_not_cut_by_the_timers_of_the_answer() -> None:
    memory = Memory(timeouts=Timeouts(first_byte=2, total=3))
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(10):
        client.feed(b"x" * 1000)
        memory.clock.advance(1)
    assert not service.closed
    memory.clock.advance(3)
    assert client.take().startswith(b"HTTP/1.1 504 ")


def test_an_answer_that_stops_in_the_middle_is_cut() -> None:
    memory = Memory(timeouts=Timeouts(idle=2))
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    for _ in range(3):
        memory.clock.advance(1)
    assert client.closed == "aborted"
    assert memory.done[0].error is not None
    assert memory.done[0].error.code == "upstream-idle-timeout"


def test_too_many_requests_wait_in_line_and_the_rest_is_refused() -> None:
    memory = Memory(pool=PoolSettings(max_connections=1), max_queue=1)
    first, service = begin(memory)
    second, third = memory.client(), memory.client()
    second.feed(GET)
    third.feed(GET)
    assert third.take().startswith(b"HTTP/1.1 503 ")
    assert len(memory.dials) == 1
    service.feed(OK)
    assert first.take().endswith(b"hi")
    service.feed(OK)
    assert second.take().endswith(b"hi")


def test_one_that_waits_too_long_is_refused() -> None:
    memory = Memory(pool=PoolSettings(max_connections=1), queue_timeout=0.5)
    begin(memory)
    second = memory.client()
    second.feed(GET)
    memory.clock.advance(0.6)
    first, fields, body = head_of(second.take())
    assert first.startswith(b"HTTP/1.1 503 ")
    assert b"upstream-overloaded" in body
    assert fields[b"retry-after"] == b"1"


# -- slow and malformed clients --------------------------------------------------------------------------------------


def test_a_head_that_drips_is_a_408_by_a_total_deadline() -> None:
    memory = Memory(settings=ChannelSettings(header_timeout=5))
    client = memory.client()
    for byte in GET[:8]:
        if client.closed or client.written:
            break
        client.feed(bytes((byte,)))
        memory.clock.advance(1)
    assert client.take().startswith(b"HTTP/1.1 408 ")
    assert memory.done[0].error is not None
    assert memory.done[0].error.code == "request-timeout"


def test_a_body_that_drips_is_a_408() -> None:
    memory = Memory(settings=ChannelSettings(body_idle_timeout=5))
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(10):
        if client.written:
            break
        client.feed(b"x")
        memory.clock.advance(1)
    assert client.take().startswith(b"HTTP/1.1 408 ")
    assert service.closed == "aborted"


def test_time_in_which_the_service_does_not_read_is_not_the_clients_fault() -> None:
    memory = Memory(settings=ChannelSettings(body_idle_timeout=5), timeouts=Timeouts(idle=600))
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx")
    service.producer.pauseProducing()
    memory.clock.pump([1] * 60)
    assert client.written == b""
    service.producer.resumeProducing()
    memory.clock.pump([1] * 6)
    assert client.take().startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_in_silence() -> None:
    memory = Memory(settings=ChannelSettings(keepalive_timeout=5))
    client, service = begin(memory)
    service.feed(OK)
    client.take()
    memory.clock.pump([1] * 6)
    assert client.closed == "lost"
    assert client.written == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: h\n\n", b"400"),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", b"505"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 17000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_not_http_is_answered_in_the_error_shape_and_logged(request_: bytes, status: bytes) -> None:
    memory = Memory()
    client = memory.client()
    client.feed(request_)
    first, fields, body = head_of(client.take())
    assert first.split()[1] == status
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"connection"] == b"close"
    assert b'"request_id": "' in body
    assert len(memory.done) == 1
    assert memory.dials == []


def test_nothing_after_a_refused_request_is_served() -> None:
    memory = Memory()
    client = memory.client()
    client.feed(b"GET / HTTP/1.1\r\n\r\n" + GET)
    client.feed(GET)
    assert memory.dials == []
    assert client.take().count(b"HTTP/1.1 ") == 1


def test_a_bad_chunk_is_a_400_and_the_service_sees_a_reset() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.feed(b"zz\r\n")
    assert client.take().startswith(b"HTTP/1.1 400 ")
    assert service.closed == "aborted"


# -- the end ---------------------------------------------------------------------------------------------------------


def test_a_drain_ends_idle_connections_when_they_stay_so_and_busy_ones_with_their_answer() -> None:
    memory = Memory()
    idle = memory.client()
    busy, service = begin(memory)
    ended: list[None] = []
    memory.site.drain(10).addCallback(ended.append)
    assert not idle.closed
    memory.clock.advance(QUIET)
    assert idle.closed == "lost"
    assert not busy.closed
    service.feed(OK)
    _, fields, body = head_of(busy.take())
    assert fields[b"connection"] == b"close"
    assert body == b"hi"
    assert busy.closed == "lost"
    assert ended == [None]


def test_a_request_that_was_on_its_way_when_a_drain_began_is_answered() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK)
    client.take()
    memory.site.drain(10)
    client.feed(GET)
    service.feed(OK)
    assert head_of(client.take())[1][b"connection"] == b"close"
    assert client.closed == "lost"


def test_a_request_that_follows_an_answer_begun_before_a_drain_is_answered() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
    memory.site.drain(10)
    memory.clock.advance(2 * QUIET)
    service.feed(b"ho")
    assert b"connection" not in head_of(client.take())[1]
    client.feed(GET)
    service.feed(OK)
    assert head_of(client.take())[1][b"connection"] == b"close"
    assert client.closed == "lost"


def test_a_connection_ends_on_which_nothing_follows_an_answer_begun_before_a_drain() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi")
    memory.site.drain(10)
    service.feed(b"ho")
    assert not client.closed
    memory.clock.advance(QUIET)
    assert client.closed == "lost"


def test_a_drain_cuts_what_does_not_end() -> None:
    memory = Memory()
    busy, service = begin(memory)
    ended: list[None] = []
    memory.site.drain(10).addCallback(ended.append)
    memory.clock.advance(11)
    assert busy.closed == "aborted"
    assert service.closed == "aborted"
    assert ended == [None]


def test_an_exchange_leaves_no_cyclic_garbage() -> None:
    memory = Memory()
    client, service = begin(memory)
    service.feed(OK)
    upload = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo"
    streamed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"

    def exchanges() -> None:
        client.feed(GET)
        service.feed(OK)
        client.feed(upload)
        client.feed(b"dy")
        service.feed(streamed)
        service.feed(b"0\r\n\r\n")
        client.take()
        service.take()
        memory.done.clear()

    exchanges()
    gc.collect()
    gc.disable()
    try:
        exchanges()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_answers_with_the_same_head_are_answered_alike_and_each_with_its_own_body_and_id() -> None:
    memory = Memory()
    client, service = begin(memory)
    answers = []
    for body in (b"one", b"two", b"six"):
        service.feed(OK.replace(b"2\r\n\r\nhi", b"3\r\n\r\n" + body))
        answers.append(head_of(client.take()))
        client.feed(GET)
    assert [body for _, _, body in answers] == [b"one", b"two", b"six"]
    assert len({fields[b"x-request-id"] for _, fields, _ in answers}) == 3
    assert answers[0][1].keys() == answers[1][1].keys()


def test_an_answer_without_date_gets_the_date_of_its_own_moment() -> None:
    memory = Memory()
    times = iter((b"first", b"second"))
    memory.date.now = lambda: next(times)  # type: ignore[method-assign]
    client, service = begin(memory)
    for expected in (b"first", b"second"):
        service.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
        _, fields, _ = head_of(client.take())
        assert fields[b"date"] == expected
        client.feed(GET)


def test_requests_with_the_same_fields_differ_in_what_is_their_own() -> None:
    memory = Memory()
    client, service = begin(memory, b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na")
    first = service.take()
    service.feed(OK)
    client.feed(b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb")
    second = service.take()
    assert first.startswith(b"POST /1 ")
    assert first.endswith(b"\r\n\r\na")
    assert second.startswith(b"POST /2 ")
    assert second.endswith(b"\r\n\r\nb")
    assert head_of(first)[1][b"x-request-id"] != head_of(second)[1][b"x-request-id"]
    assert head_of(first)[1][b"x-original-path"] == b"/1"
    assert head_of(second)[1][b"x-original-path"] == b"/2"
