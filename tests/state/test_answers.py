"""Claims and answers, in a process, in a file of several, and in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.logger import capturedLogs

from apigw.state.answers import FileAnswers, LocalAnswers
from apigw.state.redis_answers import RedisAnswers
from tests.redis.server import RedisServer
from tests.redis.test_client import client, until

STORES = ["local", "file", "redis"]


@pytest_twisted.async_yield_fixture(params=STORES)
async def answers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[object]:
    if request.param == "local":
        yield LocalAnswers(monotonic)
    elif request.param == "file":
        with closing(FileAnswers(str(tmp_path / "answers"), monotonic)) as made:
            yield made
    else:
        server = RedisServer(tmp_path)
        server.start()
        with client(f"redis://127.0.0.1:{server.port}", deadline=1.0) as redis:
            await until(lambda: redis.ready)
            yield RedisAnswers(redis)
        server.kill()


@pytest_twisted.ensureDeferred
async def test_one_claims_and_everybody_gets_what_it_left(answers) -> None:
    assert await answers.claim("a", b"mine", 60.0) is None
    assert await answers.claim("a", b"theirs", 60.0) == b"mine"
    assert await answers.claim("b", b"theirs", 60.0) is None
    await answers.finish("a", b"theirs", b"wrong", 60.0)
    assert await answers.claim("a", b"theirs", 60.0) == b"mine"
    await answers.finish("a", b"mine", b"\x00answer\xff", 60.0)
    assert await answers.claim("a", b"theirs", 60.0) == b"\x00answer\xff"
    await answers.release("a", b"mine")
    assert await answers.claim("a", b"theirs", 60.0) == b"\x00answer\xff"


@pytest_twisted.ensureDeferred
async def test_what_is_released_is_free_for_its_owner_alone_to_release(answers) -> None:
    await answers.claim("a", b"mine", 60.0)
    await answers.release("a", b"theirs")
    assert await answers.claim("a", b"theirs", 60.0) == b"mine"
    await answers.release("a", b"mine")
    assert await answers.claim("a", b"theirs", 60.0) is None


@pytest_twisted.ensureDeferred
async def test_a_claim_ends_unless_it_is_renewed(answers) -> None:
    await answers.claim("a", b"mine", 60.0)
    await answers.renew("a", b"theirs", 0.001)
    assert await answers.claim("a", b"theirs", 60.0) == b"mine"
    await answers.renew("a", b"mine", 0.001)
    while await answers.claim("a", b"theirs", 60.0) is not None:
        pass
    await answers.renew("a", b"mine", 60.0)
    await answers.finish("a", b"mine", b"late", 60.0)
    assert await answers.claim("a", b"other", 60.0) == b"theirs"


@pytest_twisted.ensureDeferred
async def test_who_comes_too_late_with_an_answer_that_nobody_else_has_keeps_it(answers) -> None:
    await answers.finish("a", b"mine", b"late", 60.0)
    assert await answers.claim("a", b"theirs", 60.0) == b"late"


@pytest.fixture(params=STORES[:2])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalAnswers | FileAnswers]:
    """With room for 19 answers of 100 bytes, and 23 of which it is only known that they were given."""
    if request.param == "local":
        yield LocalAnswers(monotonic, 20_000)
    else:
        with closing(FileAnswers(str(tmp_path / "answers"), monotonic, 20_000)) as made:
            yield made


RECORD = b"f" * 32 + b"=" + b"x" * 67


@pytest_twisted.ensureDeferred
async def test_of_the_oldest_it_is_known_that_they_were_done_and_then_nothing(small) -> None:
    with capturedLogs() as captured:
        for number in range(43):
            await small.finish(f"{number}", b"", RECORD, 60.0)
        assert await small.claim("42", b"", 60.0) == RECORD
        assert await small.claim("23", b"", 60.0) == RECORD
        assert await small.claim("22", b"", 60.0) == b"f" * 32 + b"!"
        assert await small.claim("0", b"", 60.0) == b"f" * 32 + b"!"
        assert not captured
        for number in range(43, 300):
            await small.finish(f"{number}", b"", RECORD, 60.0)
        assert await small.claim("299", b"", 60.0) == RECORD
        assert await small.claim("0", b"", 60.0) is None
        assert len(captured) == 1, "once an hour"


@pytest_twisted.ensureDeferred
async def test_a_claim_stays_whatever_else_there_is(small) -> None:
    assert await small.claim("mine", b"mine", 60.0) is None
    for number in range(300):
        await small.finish(f"{number}", b"", RECORD, 60.0)
    assert await small.claim("mine", b"theirs", 60.0) == b"mine"
    await small.finish("mine", b"mine", RECORD, 60.0)
    assert await small.claim("mine", b"theirs", 60.0) == RECORD


@pytest_twisted.ensureDeferred
async def test_large_answers_leave_it_known_what_others_did(small) -> None:
    await small.finish("a payment", b"", RECORD, 60.0)
    for number in range(20):
        await small.finish(f"{number}", b"", RECORD + b"x" * 9000, 60.0)
    assert await small.claim("a payment", b"", 60.0) == b"f" * 32 + b"!"


def test_two_that_open_one_file_share_it(tmp_path: Path) -> None:
    path = str(tmp_path / "answers")
    with closing(FileAnswers(path, monotonic)) as one, closing(FileAnswers(path, monotonic)) as two:
        claimed = []
        ensureDeferred(one.claim("a", b"one", 60.0)).addCallback(claimed.append)
        ensureDeferred(two.claim("a", b"two", 60.0)).addCallback(claimed.append)
        assert claimed == [None, b"one"]
