"""A Redis server for tests that need nothing special."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis.server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """It runs."""
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()
