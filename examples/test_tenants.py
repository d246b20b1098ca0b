"""How a stage of one's own is tested: ``pytest examples/test_tenants.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from apigw.testing import HANG, Asked, MemoryGateway, Reply

INI = """\
[service:shop]
urls = http://10.0.0.1:3001
timeout.first_byte = 2s

[stage:tenant]
use = tenants:Tenant
shops = {shops}
most = 1

[route:shop]
path = /
service = shop
stages = tenant
"""


def shop(asked: Asked) -> Reply:
    """What the service behind the gateway does."""
    return Reply(200, b"for " + asked.headers["x-shop"].encode())


@pytest.fixture
def gateway(tmp_path: Path) -> MemoryGateway:
    (tmp_path / "shops.json").write_text('{"apples": "Apples & Co"}')
    return MemoryGateway(INI.format(shops=tmp_path / "shops.json"), {"10.0.0.1:3001": shop})


def test_the_service_is_told_whose_shop_it_is(gateway: MemoryGateway) -> None:
    answer = gateway.get("/", {"Host": "apples.test", "X-Shop": "forged"})
    assert (answer.status, answer.body) == (200, b"for Apples & Co")


def test_nobodys_host_is_refused(gateway: MemoryGateway) -> None:
    answer = gateway.get("/", {"Host": "pears.test"})
    assert (answer.status, answer.json()["code"]) == (404, "no-such-shop")
    assert not gateway.asked


def test_a_place_is_given_back_when_the_service_hangs(gateway: MemoryGateway) -> None:
    gateway.services["10.0.0.1:3001"] = HANG
    waits = gateway.begin("POST", "/", {"Host": "apples.test"})
    assert gateway.get("/", {"Host": "apples.test"}).json()["code"] == "shop-busy"
    gateway.advance(2.0)
    assert waits.answer is not None
    assert waits.answer.status == 504
    gateway.services["10.0.0.1:3001"] = shop
    assert gateway.get("/", {"Host": "apples.test"}).status == 200
