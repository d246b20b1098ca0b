"""What EndpointSlices say, and what a watch may do to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.upstream.discovery.slices import Expired, Slices
from apigw.upstream.discovery.source import SourceFailed
from tests.upstream.discovery.api_server import endpoint_slice


def slices(*documents: Any) -> Slices:
    known = Slices()
    known.replace(documents, "7")
    return known


def event(kind: str, document: dict[str, Any], version: str = "8") -> dict[str, Any]:
    metadata = {**document.get("metadata", {}), "resourceVersion": version}
    return {"type": kind, "object": {**document, "metadata": metadata}}


def test_all_slices_count_and_an_address_in_two_of_them_once():
    known = slices(endpoint_slice("a", "10.0.0.1", "10.0.0.2"), endpoint_slice("b", "10.0.0.2", "10.0.0.3"))
    assert known.addresses("") == [("10.0.0.1", 8080), ("10.0.0.2", 8080), ("10.0.0.3", 8080)]
    assert known.version == "7"


def test_events():
    known = slices(endpoint_slice("a", "10.0.0.1"))
    known.apply(event("ADDED", endpoint_slice("b", "10.0.0.2"), "8"))
    known.apply(event("MODIFIED", endpoint_slice("a", "10.0.0.9"), "9"))
    assert known.addresses("") == [("10.0.0.2", 8080), ("10.0.0.9", 8080)]
    known.apply(event("DELETED", endpoint_slice("b", "10.0.0.2"), "10"))
    known.apply(event("BOOKMARK", {}, "22"))
    assert known.addresses("") == [("10.0.0.9", 8080)]
    assert known.version == "22"


def test_errors():
    known = slices()
    with pytest.raises(Expired):
        known.apply({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    with pytest.raises(SourceFailed, match="500"):
        known.apply({"type": "ERROR", "object": {"code": 500, "message": "etcd"}})
    assert known.version == "7"


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({"ready": True}, True),
        ({"ready": None}, True),
        ({}, True),
        (None, True),
        ({"ready": False, "serving": True, "terminating": True}, False),
    ],
)
def test_only_who_is_ready(conditions, counts):
    document = endpoint_slice("a", endpoints=[{"addresses": ["10.0.0.1", "10.0.0.7"], "conditions": conditions}])
    assert slices(document).addresses("") == ([("10.0.0.1", 8080)] if counts else [])


def test_ipv6_only_where_there_is_no_ipv4():
    six = endpoint_slice("six", "FD00::0:1", family="IPv6")
    assert slices(six).addresses("") == [("fd00::1", 8080)]
    assert slices(six, endpoint_slice("four")).addresses("") == [("fd00::1", 8080)]
    assert slices(six, endpoint_slice("four", "10.0.0.1")).addresses("") == [("10.0.0.1", 8080)]
    assert slices(endpoint_slice("name", "user.example", family="FQDN")).addresses("") == []


PORTS = [
    {"name": "http", "port": 8080, "protocol": "TCP"},
    {"name": "admin", "port": 9090},
    {"name": "dns", "port": 53, "protocol": "UDP"},
]


@pytest.mark.parametrize(("port", "number"), [("http", 8080), ("9090", 9090), ("admin", 9090)])
def test_ports_by_name_and_number(port, number):
    assert slices(endpoint_slice("a", "10.0.0.1", ports=PORTS)).addresses(port) == [("10.0.0.1", number)]


@pytest.mark.parametrize(
    ("port", "told"),
    [("", "no single port, but http=8080, admin=9090"), ("80", "no port 80, but http"), ("dns", "no port dns")],
)
def test_ports_that_are_not_there(port, told):
    with pytest.raises(SourceFailed, match=told):
        slices(endpoint_slice("a", "10.0.0.1", ports=PORTS)).addresses(port)


def test_slices_may_differ_in_their_ports():
    both = slices(endpoint_slice("a", "10.0.0.1", port=1), endpoint_slice("b", "10.0.0.2", port=2))
    assert both.addresses("http") == [("10.0.0.1", 1), ("10.0.0.2", 2)]


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": None},
        {"metadata": {}},
        {"metadata": {"name": 1}},
        {"addressType": None},
        {"endpoints": {}},
        {"endpoints": [1]},
        {"endpoints": [{}]},
        {"endpoints": [{"addresses": []}]},
        {"endpoints": [{"addresses": [1]}]},
        {"endpoints": [{"addresses": ["example"]}]},
        {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": 1}]},
        {"ports": 1},
        {"ports": ["http"]},
        {"ports": [{"port": "80"}]},
        {"ports": [{"port": True}]},
        {"ports": [{"name": 1, "port": 80}]},
    ],
)
def test_what_is_malformed_changes_nothing(more):
    known = slices(endpoint_slice("a", "10.0.0.1"))
    with pytest.raises(SourceFailed):
        known.replace([endpoint_slice("b", "10.0.0.2"), {**endpoint_slice("c", "10.0.0.3"), **more}], "9")
    with pytest.raises(SourceFailed):
        known.apply({"type": "ADDED", "object": {**endpoint_slice("c", "10.0.0.3"), **more}})
    assert known.addresses("") == [("10.0.0.1", 8080)]
    assert known.version == "7"


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=10)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
objects = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("metadata", "endpoints", "ports", "addressType", "code", "message"), values)
)


@given(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "OTHER"]), objects | values)
def test_any_event_is_taken_or_refused(kind, value):
    known = slices(endpoint_slice("a", "10.0.0.1"))
    try:
        known.apply({"type": kind, "object": value})
        known.apply(value)
    except (SourceFailed, Expired):
        pass
    assert all(isinstance(port, int) for _, port in known.addresses("http"))
