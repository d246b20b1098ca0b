"""Closed doors, over the whole path in memory."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from apigw.pipeline import Stage
from apigw.policy.ip_lists import IpLists
from apigw.policy.maintenance import Door
from apigw.policy.security_headers import API, SecurityHeaders
from apigw.stages.security import AddressLists, Closed, ResponseHeaders
from tests.kit import Memory
from tests.path.test_exchange import GET, OK, begin, head_of

HERE = ip_network("192.0.2.0/24")  # where the kit's clients are


def own_answer(*stages: Stage) -> tuple[bytes, dict[bytes, bytes], bytes]:
    memory = Memory(stages=stages)
    client = memory.client()
    client.feed(GET)
    assert memory.dials == []
    return head_of(client.take())


@pytest.mark.parametrize("lists", [IpLists(deny=[HERE]), IpLists(allow=[ip_network("10.0.0.0/8")])])
def test_an_address_that_is_not_admitted_gets_a_403_and_no_service_hears_of_it(lists: IpLists) -> None:
    status, _, body = own_answer(AddressLists(lists))
    assert status == b"HTTP/1.1 403 Forbidden"
    assert b'"code": "address-refused"' in body


def test_others_pass() -> None:
    client, service = begin(Memory(stages=[AddressLists(IpLists(allow=[HERE]))]))
    service.feed(OK)
    assert client.take().startswith(b"HTTP/1.1 200 ")


def test_report_only_lets_pass_and_says_so() -> None:
    memory = Memory(stages=[AddressLists(IpLists(deny=[HERE]), enforce=False)])
    client, service = begin(memory)
    service.feed(OK)
    assert client.take().startswith(b"HTTP/1.1 200 ")
    assert memory.done[0].would_refuse == "address-refused"


def test_maintenance_says_when_to_come_again() -> None:
    status, fields, body = own_answer(Closed(Door(600.0)))
    assert status == b"HTTP/1.1 503 Service Unavailable"
    assert fields[b"retry-after"] == b"600"
    assert b'"code": "maintenance"' in body


def test_answers_of_services_and_errors_carry_the_fields() -> None:
    stage = ResponseHeaders(SecurityHeaders(API))
    client, service = begin(Memory(stages=[stage]))
    service.feed(OK.replace(b"Date: x", b"Date: x\r\nReferrer-Policy: origin"))
    _, fields, _ = head_of(client.take())
    assert fields[b"x-content-type-options"] == b"nosniff"
    assert fields[b"referrer-policy"] == b"origin"
    _, fields, _ = own_answer(stage, Closed(Door(1.0)))
    assert fields[b"x-content-type-options"] == b"nosniff"
