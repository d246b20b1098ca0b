"""Quotas in a real Redis: exact among gateways, shared out while it is gone, and not forgotten when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults

from apigw.policy.gcra import LocalQuotas, Quota, Spend, Verdict, remaining
from apigw.state.redis_quotas import RedisQuotas
from tests.redis.server import RedisServer
from tests.redis.test_client import client, until

HUNDRED = Quota("ip", 100, 3600.0, 100)
TEN = Quota("user", 10, 3600.0, 10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


async def asked(quotas: RedisQuotas, *spends: Spend, cost: float = 1.0, now: float | None = None) -> Verdict:
    verdict = quotas.take(monotonic() if now is None else now, spends, cost)
    return verdict if isinstance(verdict, Verdict) else await verdict


async def admitted(quotas: RedisQuotas, count: int, *spends: Spend) -> int:
    """Of ``count`` at once."""
    waiting: list[Deferred[Verdict]] = [ensureDeferred(asked(quotas, *spends)) for _ in range(count)]
    return sum(not verdict.wait for verdict in await gatherResults(waiting))


@pytest_twisted.ensureDeferred
async def test_gateways_admit_exactly_the_limit_together(server: RedisServer) -> None:
    url = f"redis://127.0.0.1:{server.port}"
    with client(url, deadline=5.0) as one, client(url, "two", deadline=5.0) as two:
        await until(lambda: one.ready and two.ready)
        stores = [RedisQuotas(redis, LocalQuotas(), monotonic) for redis in (one, two)]
        counts = [ensureDeferred(admitted(store, 500, (HUNDRED, "a"))) for store in stores]
        assert sum(await gatherResults(counts)) == 100
        assert [redis.fallbacks for redis in (one, two)] == [0, 0]


@pytest_twisted.ensureDeferred
async def test_judges_as_the_store_of_one_process_does(server: RedisServer) -> None:
    with client(f"redis://127.0.0.1:{server.port}", deadline=5.0) as redis:
        await until(lambda: redis.ready)
        store, local = RedisQuotas(redis, LocalQuotas(), monotonic), LocalQuotas()
        chance = Random(7)
        for _ in range(200):
            user, address = f"u{chance.randrange(3)}", f"a{chance.randrange(3)}"
            spends = chance.choice((((HUNDRED, address),), ((TEN, user),), ((HUNDRED, address), (TEN, user))))
            now = monotonic()
            mine, theirs = await asked(store, *spends, cost=2.0, now=now), local.take(now, spends, 2.0)
            assert mine.quota is theirs.quota
            assert mine.wait == pytest.approx(theirs.wait, abs=1.0)
            for one, other in zip(mine.standings, theirs.standings, strict=True):
                assert (one[0], remaining(one)) == (other[0], remaining(other))
                assert one[1] == pytest.approx(other[1], abs=1.0)
        with pytest.raises(ValueError, match="more than a burst"):
            await asked(store, (TEN, "u"), cost=11.0)


@pytest_twisted.ensureDeferred
async def test_asking_again_and_again_adds_nothing_to_what_was_spent(server: RedisServer) -> None:
    slow = Quota("ip", 1000, 1.0, 1000)
    with client(f"redis://127.0.0.1:{server.port}", deadline=5.0) as redis:
        await until(lambda: redis.ready)
        store = RedisQuotas(redis, LocalQuotas(), monotonic)
        await asked(store, (slow, "a"))
        first = monotonic()  # the server has counted it before
        for _ in range(299):
            last = monotonic()  # and the last one after
            verdict = await asked(store, (slow, "a"))
        spent = 300 - 1000 * (last - first)
        assert verdict.standings[0][1] <= max(0.001, spent / 1000 + 0.005)


@pytest_twisted.ensureDeferred
async def test_without_redis_each_goes_on_with_its_share_from_what_was_spent(server: RedisServer) -> None:
    url = f"redis://127.0.0.1:{server.port}"
    with client(url) as one, client(url, "two") as two:
        await until(lambda: one.instances == 2 and two.instances == 2)
        stores = [RedisQuotas(redis, LocalQuotas(), monotonic) for redis in (one, two)]
        for store in stores:
            assert await admitted(store, 20, (HUNDRED, "a")) == 20
        server.kill()
        await until(lambda: not one.ready and not two.ready)
        alone = [await admitted(store, 100, (HUNDRED, "a")) for store in stores]
        assert sum(alone) == pytest.approx(60, abs=20), "the first knows of 20, the second of 40"
        assert stores[0].peek(monotonic(), ((HUNDRED, "a"),)).quota is not None
        server.start()
        await until(lambda: one.ready and two.ready)
        assert sum([await admitted(store, 100, (HUNDRED, "a")) for store in stores]) == 0, "the new server is told"


@pytest_twisted.ensureDeferred
async def test_what_is_less_than_a_request_is_a_request(server: RedisServer) -> None:
    one_only = Quota("user", 1, 3600.0, 1)
    url = f"redis://127.0.0.1:{server.port}"
    with client(url) as one, client(url, "two") as two:
        await until(lambda: one.instances == 2 and two.instances == 2)
        store = RedisQuotas(one, LocalQuotas(), monotonic)
        server.kill()
        await until(lambda: not one.ready)
        assert [not (await asked(store, (one_only, "a"))).wait for _ in range(3)] == [True, False, False]
