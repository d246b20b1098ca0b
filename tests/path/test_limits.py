"""Limits over the whole path in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from ipaddress import ip_network

import pytest
from twisted.internet.defer import Deferred

from apigw.dates import HttpDate
from apigw.errors import Unauthorized
from apigw.messages import Exchange
from apigw.pipeline import Stage
from apigw.policy.cors import Cors
from apigw.policy.gcra import LocalQuotas, Quota, Spend, Verdict
from apigw.policy.ip_lists import Networks
from apigw.policy.limit_fields import draft
from apigw.policy.principal import Principal
from apigw.stages.cors import CrossOrigin
from apigw.stages.limits import (
    AddressFirst,
    Allowance,
    Combined,
    Exempt,
    LimitFields,
    Limits,
    QuotaStore,
    legacy_lines,
)
from tests.kit import Memory
from tests.path.test_exchange import head_of

OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi"
TWO = Quota("ip", 2, 60.0, 2)
THREE = Quota("user", 3, 60.0, 3)
ONE = Quota("route", 1, 10.0, 1)
CONSUMER = Quota("consumer", 4, 60.0, 4)


class Says(Stage):
    """Takes from fields of the request what other stages would find out."""

    def request(self, exchange: Exchange) -> None:
        for name, value in exchange.request.fields:
            if name == b"Who":
                exchange.principal = value.decode()
                consumer = value.decode() if value.startswith(b"acme") else ""
                exchange.identity = Principal(value.decode(), consumer=consumer, quota=CONSUMER if consumer else None)
            elif name == b"From":
                exchange.client_ip = value.decode()


class Door(Stage):
    """Lets in by the field ``Who`` alone, and takes its time with ``slow``."""

    def __init__(self) -> None:
        self.asked: list[Deferred[None]] = []

    def request(self, exchange: Exchange) -> Awaitable[None] | None:
        if exchange.principal == "slow":
            self.asked.append(Deferred())
            return self.asked[-1]
        if exchange.principal is None:
            raise Unauthorized("Who?")
        return None


class Now:
    """:ivar now: what the stages take for the time."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A gateway with limits, and clients that ask it."""

    def __init__(
        self,
        allowance: Allowance,
        store: QuotaStore | None = None,
        exempt: str = "10.0.0.0/8",
        fields: Stage | None = None,
        door: bool = False,
    ) -> None:
        self.clock = Now()
        store = LocalQuotas() if store is None else store
        stages: list[Stage] = [Says(), CrossOrigin(Cors(["https://a.test"]), HttpDate()), fields or LimitFields(draft)]
        free = Exempt(Networks([ip_network(exempt)]), frozenset(["robot"]))
        self.door = Door()
        if door:
            stages += [AddressFirst(store, self.clock, allowance, free), self.door]
        stages.append(Limits(store, self.clock, allowance, free, door))
        self.memory = Memory(stages=stages)
        self.client = self.memory.client()

    def ask(self, ip: str = "192.0.2.1", who: str = "", more: bytes = b"") -> tuple[int, dict[bytes, bytes], bytes]:
        user = f"Who: {who}\r\n".encode() if who else b""
        self.client.feed(b"GET / HTTP/1.1\r\nHost: h\r\nFrom: %b\r\n%b%b\r\n" % (ip.encode(), user, more))
        if not self.client.written and self.memory.dials and self.memory.dials[-1].written:
            self.memory.dials[-1].take()
            self.memory.dials[-1].feed(OK)
        first, fields, body = head_of(self.client.take())
        return int(first.split()[1]), fields, body

    def statuses(self, count: int, ip: str = "192.0.2.1", who: str = "") -> list[int]:
        return [self.ask(ip, who)[0] for _ in range(count)]


def test_an_address_has_its_limit_and_no_service_sees_more() -> None:
    gate = Gate(Allowance(ip=TWO))
    assert gate.statuses(4) == [200, 200, 429, 429]
    assert gate.statuses(3, "192.0.2.2") == [200, 200, 429]
    gate.clock.now += 30.0
    assert gate.statuses(2) == [200, 429]


def test_a_429_says_when_to_come_again_and_has_the_form_of_all_errors() -> None:
    gate = Gate(Allowance(ip=TWO))
    status, fields, _ = gate.ask()
    assert fields[b"ratelimit-policy"] == b'"ip";q=2;w=60'
    assert fields[b"ratelimit"] == b'"ip";r=1;t=30'
    gate.ask()
    status, fields, body = gate.ask(more=b"Origin: https://a.test\r\n")
    assert status == 429
    assert fields[b"retry-after"] == b"30"
    assert fields[b"ratelimit"] == b'"ip";r=0;t=60'
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"access-control-allow-origin"] == b"https://a.test"
    assert b"RateLimit" in fields[b"access-control-expose-headers"]
    assert b'"code": "rate-limited"' in body
    error = gate.memory.done[-1].error
    assert error is not None
    assert error.code == "rate-limited"


def test_the_triple_of_old() -> None:
    gate = Gate(Allowance(ip=TWO), fields=LimitFields(legacy_lines(lambda: 1_700_000_000.0)))
    _, fields, _ = gate.ask()
    assert fields[b"x-ratelimit-limit"] == b"2"
    assert fields[b"x-ratelimit-remaining"] == b"1"
    assert fields[b"x-ratelimit-reset"] == b"1700000030"


def test_ipv6_clients_are_networks_and_exempt_addresses_are_free() -> None:
    gate = Gate(Allowance(ip=TWO))
    assert [gate.ask(f"2001:db8::{number}")[0] for number in range(3)] == [200, 200, 429]
    assert gate.ask("2001:db8:0:1::1")[0] == 200
    assert gate.statuses(5, "10.1.2.3") == [200] * 5
    assert gate.statuses(3, "::ffff:10.1.2.3") == [200] * 3


def test_users_have_limits_and_guests_have_none() -> None:
    gate = Gate(Allowance(user=THREE))
    assert gate.statuses(5, who="ann") == [200, 200, 200, 429, 429]
    assert gate.statuses(5, "192.0.2.9", "ann") == [429] * 5
    assert gate.statuses(3, who="bob") == [200] * 3
    assert gate.statuses(5) == [200] * 5
    assert gate.statuses(5, who="robot") == [200] * 5


def test_a_route_has_one_limit_for_all_and_a_refused_user_spends_none_of_it() -> None:
    gate = Gate(Allowance(user=THREE, route=Quota("route", 5, 60.0, 5)))
    assert gate.statuses(10, who="ann") == [200] * 3 + [429] * 7
    assert gate.statuses(3, who="bob") == [200, 200, 429]


def test_the_longest_wait_is_told() -> None:
    gate = Gate(Allowance(user=THREE, route=ONE))
    gate.ask(who="ann")
    status, fields, body = gate.ask(who="ann")
    assert status == 429
    assert fields[b"retry-after"] == b"10"
    assert fields[b"ratelimit"] == b'"user";r=2;t=20, "route";r=0;t=10'
    assert b"limit by route" in body


def test_a_request_may_cost_more() -> None:
    gate = Gate(Allowance(ip=Quota("ip", 10, 60.0, 10), cost=4.0))
    assert gate.statuses(3) == [200, 200, 429]


def test_report_only_lets_pass_and_says_so() -> None:
    gate = Gate(Allowance(ip=TWO, enforce=False))
    assert gate.statuses(4) == [200] * 4
    assert [exchange.would_refuse for exchange in gate.memory.done] == ["", "", "rate-limited", "rate-limited"]


def test_preflights_spend_nothing() -> None:
    gate = Gate(Allowance(ip=TWO))
    for _ in range(5):
        gate.client.feed(
            b"OPTIONS / HTTP/1.1\r\nHost: h\r\nFrom: 192.0.2.1\r\nOrigin: https://a.test\r\n"
            b"Access-Control-Request-Method: PUT\r\n\r\n"
        )
        assert gate.client.take().startswith(b"HTTP/1.1 204 ")
    assert gate.statuses(2) == [200, 200]


def test_routes_share_what_has_no_scope_of_its_own() -> None:
    store = LocalQuotas()
    one, other = Gate(Allowance(ip=TWO), store), Gate(Allowance(ip=TWO), store)
    own = Gate(Allowance(ip=TWO, ip_scope="own"), store)
    assert one.statuses(2) == [200, 200]
    assert other.ask()[0] == 429
    assert own.ask()[0] == 200


@pytest.mark.parametrize(("wait", "status"), [(0.0, b"200"), (5.0, b"429")])
def test_a_verdict_may_take_its_time(wait: float, status: bytes) -> None:
    class Slow:
        """Somewhere else."""

        def __init__(self) -> None:
            self.asked: list[Deferred[Verdict]] = []

        def take(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Awaitable[Verdict]:
            self.asked.append(Deferred())
            return self.asked[-1]

        def peek(self, now: float, spends: Sequence[Spend], cost: float = 1.0) -> Verdict:
            raise AssertionError("nobody asks who it is")

    slow = Slow()
    gate = Gate(Allowance(ip=TWO), slow)
    gate.client.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert gate.client.written == b""
    assert gate.memory.dials == []
    slow.asked[0].callback(Verdict(wait, TWO if wait else None, ()))
    if not wait:
        gate.memory.dials[-1].feed(OK)
    assert gate.client.take().split()[1] == status


def test_an_address_is_refused_before_it_is_asked_who_it_is_and_what_fails_there_counts() -> None:
    gate = Gate(Allowance(ip=THREE), door=True)
    assert gate.statuses(2) == [401, 401]
    _, fields, _ = gate.ask(who="ann")
    assert fields[b"ratelimit"] == b'"user";r=0;t=60'
    status, fields, _ = gate.ask()
    assert status == 429
    assert fields[b"ratelimit"] == b'"user";r=0;t=60'
    assert gate.ask(who="ann")[0] == 429
    assert gate.ask("192.0.2.2", "ann")[0] == 200
    assert gate.ask("10.0.0.1")[0] == 401, "whoever is exempt is asked none the less"


def test_who_goes_away_while_it_is_asked_who_it_is_counts() -> None:
    gate = Gate(Allowance(ip=TWO), door=True)
    gate.client.feed(b"GET / HTTP/1.1\r\nHost: h\r\nFrom: 192.0.2.1\r\nWho: slow\r\n\r\n")
    gate.client.reset()
    gate.client = gate.memory.client()
    assert gate.statuses(2, who="ann") == [200, 429]


def test_whatever_refuses_spends_from_none() -> None:
    gate = Gate(Allowance(ip=Quota("ip", 5, 60.0, 5), user=TWO), door=True)
    assert gate.statuses(10, who="ann") == [200, 200] + [429] * 8
    assert gate.statuses(4, who="bob") == [200, 200, 429, 429]
    assert gate.ask(who="cid")[0] == 200


def test_consumers_have_limits_with_all_they_ask_and_on_a_route() -> None:
    store = LocalQuotas()
    one, other = Gate(Allowance(name="one", consumer=TWO), store), Gate(Allowance(name="other", consumer=THREE), store)
    assert one.statuses(3, who="acme") == [200, 200, 429]
    assert other.statuses(3, who="acme") == [200, 200, 429], "four in all"
    assert one.statuses(3, who="acme2") == [200, 200, 429]
    assert one.statuses(3, who="ann") == [200, 200, 200], "a token is no key"


def test_a_field_has_limits_and_whoever_leaves_it_out_too() -> None:
    gate = Gate(Allowance(combined=[Combined(Quota("header:tenant", 2, 60.0, 2), ("header:tenant",))]))
    assert [gate.ask(more=b"Tenant: a\r\n")[0] for _ in range(3)] == [200, 200, 429]
    assert gate.ask(more=b"tenant: b\r\n")[0] == 200
    assert gate.statuses(3) == [200, 200, 429]
    long = b"Tenant: " + b"x" * 1000
    assert [gate.ask(more=long + b"\r\n")[0] for _ in range(3)] == [200, 200, 429]
    assert gate.ask(more=long + b"y\r\n")[0] == 200


def test_who_says_several_values_of_a_field_at_once_does_not_escape_by_it() -> None:
    """Services take the first one, the last one or all of them; counting all as one value, each would be another."""
    gate = Gate(Allowance(combined=[Combined(Quota("header:tenant", 2, 60.0, 2), ("header:tenant",))]))
    said = [gate.ask(more=b"Tenant: acme\r\nTenant: %d\r\n" % number)[0] for number in range(3)]
    assert said == [200, 200, 429]
    assert [gate.ask(more=b"Tenant: acme\r\nTenant: acme\r\n")[0] for _ in range(2)] == [200, 200]
    assert gate.ask(more=b"Tenant: acme\r\n")[0] == 429


def test_a_combination_counts_each_of_its_values_apart() -> None:
    parts = ("user", "consumer", "ip", "route", "header:device")
    gate = Gate(Allowance(combined=[Combined(Quota("+".join(parts), 1, 60.0, 1), parts)]))
    device = b"Device: 1\r\n"
    assert gate.ask("192.0.2.1", "acme", device)[0] == 200
    assert gate.ask("192.0.2.1", "acme", device)[0] == 429
    assert gate.ask("192.0.2.1", "acme", b"Device: 2\r\n")[0] == 200
    assert gate.ask("192.0.2.2", "acme", device)[0] == 200
    assert gate.ask("192.0.2.1", "acme2", device)[0] == 200
    assert gate.statuses(3, who="ann") == [200, 200, 200], "nobody's key"
    assert gate.statuses(3, "10.0.0.1", "acme3") == [200, 200, 200], "its address is exempt"
