"""The stages of the GraphQL place, on the whole path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apigw.errors import RateLimited
from apigw.policy.gcra import LocalQuotas, Quota
from apigw.policy.graphql.rules import Firewall, Judged, Rules, digest
from apigw.policy.ip_lists import Networks
from apigw.stages.graphql import ByCost, GraphqlEnds, GraphqlErrors, GraphqlFirewall, NoMultipart, Screened
from apigw.stages.limits import Allowance, Exempt
from apigw.task import Awaited
from tests.kit import Memory, asking
from tests.policy.graphql.test_multipart import FILE, MAP, form
from tests.policy.graphql.test_socket import frame

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def gateway(rules: Rules | None = None, cap: int = 1000, *more: Any) -> Memory:
    return Memory(stages=[NoMultipart(), GraphqlFirewall(Firewall(rules or Rules()), cap), *more, GraphqlErrors()])


def post(body: bytes, *lines: bytes, kind: bytes = b"application/json", target: bytes = b"/graphql") -> bytes:
    head = [
        b"POST %b HTTP/1.1" % target,
        b"Host: h",
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        *lines,
    ]
    return b"\r\n".join([*head, b"", b""]) + body


def answered(memory: Memory, request: bytes) -> tuple[int, Any]:
    """Of the gateway's own; the service isn't asked."""
    client = memory.client()
    client.feed(request)
    head, _, body = client.take().partition(b"\r\n\r\n")
    assert not memory.dials
    return int(head.split()[1]), json.loads(body) if body else None


def sent(memory: Memory, request: bytes) -> bytes:
    """What the service gets."""
    memory.client().feed(request)
    [dial] = memory.dials
    return dial.take()


def test_a_body_goes_on_as_it_came() -> None:
    body = b'{ "query":"{a}" }'
    told = sent(gateway(), post(body))
    assert told.endswith(b"\r\n\r\n" + body)
    assert b"\r\nContent-Length: 17\r\n" in told


def test_a_body_in_chunks_is_waited_for() -> None:
    memory = gateway()
    client = memory.client()
    client.feed(b"POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n")
    client.feed(b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.feed(b'8\r\n{"query"\r\n')
    assert not memory.dials
    client.feed(b'7\r\n:"{a}"}\r\n0\r\n\r\n')
    told = memory.dials[0].take()
    assert b'{"query":"{a}"}' in told
    assert b"Expect" not in told


def test_a_client_that_goes_away_while_it_is_waited_for_leaves_nothing() -> None:
    memory = gateway()
    client = memory.client()
    client.feed(post(b'{"query":"{a}"}')[:-5])
    client.reset()
    assert not memory.dials
    assert [exchange.error.code for exchange in memory.done if exchange.error] == ["client-disconnected"]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_cap(chunked: bool) -> None:
    body = b'{"query":"{a}"}' + b" " * 20
    request = post(body)
    if chunked:
        request = request.replace(b"Content-Length: 35", b"Transfer-Encoding: chunked").replace(body, b"23\r\n" + body)
    status, said = answered(gateway(cap=30), request)
    assert status == 413
    assert said["errors"][0]["extensions"]["code"] == "body-too-large"


@pytest.mark.parametrize(
    ("method", "status", "allow"),
    [(b"PUT", 405, b"GET, POST"), (b"DELETE", 405, b"GET, POST"), (b"GET", 405, b"POST"), (b"HEAD", 405, b"POST")],
)
def test_methods(method: bytes, status: int, allow: bytes) -> None:
    memory = gateway()
    client = memory.client()
    client.feed(b"%b /graphql?query=mutation%%7Ba%%7D HTTP/1.1\r\nHost: h\r\n\r\n" % method)
    head = client.take()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nAllow: %b\r\n" % allow in head
    assert not memory.dials


def test_options_goes_on_where_it_asks_for_nothing() -> None:
    assert sent(gateway(), b"OPTIONS /graphql HTTP/1.1\r\nHost: h\r\n\r\n").startswith(b"OPTIONS ")
    status, _ = answered(gateway(), b"OPTIONS /graphql?query=%7Ba%7D HTTP/1.1\r\nHost: h\r\n\r\n")
    assert status == 400


def test_a_get_has_no_body() -> None:
    status, _ = answered(gateway(), b"GET /graphql?query=%7Ba%7D HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert status == 400


@pytest.mark.parametrize(
    "kind", [b"Multipart/Form-Data; boundary=a", b"application/graphql", b"application/json; charset=latin1"]
)
def test_media_types(kind: bytes) -> None:
    assert answered(gateway(), post(b'{"query":"{a}"}', kind=kind))[0] == 415
    assert answered(gateway(), post(b'{"query":"{a}"}', b"Content-Type: text/plain"))[0] == 415


def test_problem_details_for_who_wants_them() -> None:
    status, said = answered(gateway(), post(b'{"query":"{"}', b"Accept: application/problem+json"))
    assert (status, said["code"], said["status"]) == (400, "graphql-syntax", 400)


def test_documents_of_a_list_are_put_in() -> None:
    rules = Rules(only={"one": "query($n: Int) {a(n: $n)}", "two": "{b}"}, batch=5)
    body = b'[{"id": "one", "variables": {"n": 1}, "extensions": {"persistedQuery": null, "x": 1}}, {"query": "{b}"}]'
    told = sent(gateway(rules), post(body, b"Content-Digest: sha-256=:x:"))
    head, _, data = told.partition(b"\r\n\r\n")
    assert json.loads(data) == [
        {"variables": {"n": 1}, "extensions": {"x": 1}, "query": "query($n: Int) {a(n: $n)}"},
        {"query": "{b}"},
    ]
    assert b"Content-Length: %d" % len(data) in head
    assert b"Digest" not in head
    target = (
        b"/graphql?extensions=%7B%22persistedQuery%22%3A%7B%22sha256Hash%22%3A%22"
        + digest("{b}").encode()
        + b"%22%7D%7D"
    )
    told = sent(gateway(rules), b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target)
    assert told.startswith(b"GET /graphql?extensions=%7B%7D&query=%7Bb%7D HTTP/1.1\r\n")


def test_limits_by_cost() -> None:
    quota = Quota("ip", 10, 60.0, 10)
    counted: list[Judged] = []
    limits = ByCost(LocalQuotas(), lambda: 0.0, Allowance(quota), Exempt(Networks(())), unit=10)
    memory = gateway(Rules(), 1000, GraphqlEnds(lambda exchange, judged: counted.append(judged)), limits)
    client = memory.client()
    for _ in range(2):
        client.feed(post(b'{"query":"query Q {a(first: 44) {b}}"}'))
        memory.dials[0].take()
        memory.dials[0].feed(OK)
        assert client.take().startswith(b"HTTP/1.1 200 ")
    client.feed(post(b'{"query":"query Q {a(first: 44) {b}}"}'))
    assert client.take().startswith(b"HTTP/1.1 429 ")
    client.feed(post(b'{"query":"{a}"}'))
    assert memory.dials[0].take()
    memory.dials[0].feed(OK)
    assert [one.cost for one in counted] == [45, 45, 45, 1]


def test_explained() -> None:
    stage = GraphqlFirewall(Firewall(Rules()), 100)
    exchange = asking()
    exchange.request.query = b"?query=query Q%7Ba%7D"
    explained = stage.explain(exchange)
    assert explained is not None
    assert explained.facts == {"operation": "Q", "type": "query", "cost": 1}
    exchange.request.query = b"?query=%7B"
    explained = stage.explain(exchange)
    assert explained is not None
    assert explained.error is not None
    assert explained.error.code == "graphql-syntax"
    explained = stage.explain(asking(b"POST"))
    assert explained is not None
    assert explained.unknown


def message(query: str) -> bytes:
    return frame(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}).encode())


def test_a_shared_limit_that_answers_late_ends_a_tunnel() -> None:
    asked: list[Judged] = []
    screened = Screened(Firewall(Rules()), asking(), 1000, asked.append)
    late: Awaited[RateLimited | None] = Awaited()
    screened.spend = lambda judged: late
    assert screened(message("{a}")) == message("{a}")
    assert screened.ended is None
    late.callback(RateLimited("Too much."))
    assert screened.ended is not None
    assert (screened.ended.code, screened.ended.close_code) == ("rate-limited", 4429)
    assert screened(message("{b}")) == b""
    assert len(asked) == 1


def test_a_document_of_a_list_is_sent_whole_in_a_tunnel() -> None:
    screened = Screened(Firewall(Rules(only={"one": "{a}"})), asking(), 1000)
    assert screened(message("{a}")) == message("{a}")
    named = frame(b'{"id": "1", "type": "subscribe", "payload": {"id": "one"}}')
    assert screened(named) == b""
    assert screened.ended is not None
    assert (screened.ended.code, screened.ended.close_code) == ("graphql-persisted", 4400)


def test_uploads_are_read_where_they_may_be() -> None:
    def sending(query: bytes) -> bytes:
        body = form(("operations", b'{"query": "%b"}' % query), MAP, FILE)
        return post(body, kind=b"multipart/form-data; boundary=b")

    def uploading() -> Memory:
        firewall = GraphqlFirewall(Firewall(Rules(depth=1)), 1000, multipart=True)
        return Memory(stages=[firewall, GraphqlErrors()])

    assert sent(uploading(), sending(b"mutation {a}")).endswith(b"--b--\r\n")
    assert answered(uploading(), sending(b"mutation {a {b}}"))[1]["errors"][0]["extensions"]["code"] == "graphql-depth"
    assert answered(gateway(), sending(b"mutation {a}"))[0] == 415
