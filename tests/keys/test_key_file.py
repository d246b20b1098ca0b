"""The file of keys while the gateway runs."""

from pathlib import Path

from twisted.internet.task import Clock

from apigw.config.consumers import ConsumerSection, make_key
from apigw.config.units import parse_rate
from apigw.keys.key_file import LOOK_EVERY, KeyFile
from apigw.policy.api_keys import digest


def test_a_change_is_seen_and_a_file_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    (one, line), (two, other) = make_key("acme"), make_key("acme")
    path = tmp_path / "keys"
    path.write_text(line)
    rate = parse_rate("10/m burst 3")
    assert rate is not None
    file = KeyFile(str(path), (ConsumerSection(name="acme", user="robot", limit=rate),))
    found = file.keys.find(digest(one.encode()))
    assert found is not None
    assert (found.user, found.consumer) == ("robot", "acme")
    assert found.quota is not None
    assert (found.quota.name, found.quota.interval, found.quota.burst) == ("consumer", 6.0, 3)
    clock = Clock()
    file.watch(clock)
    try:
        path.write_text(f"{line}\n{other}\n")
        assert file.keys.find(digest(two.encode())) is None
        clock.advance(LOOK_EVERY)
        assert file.keys.find(digest(two.encode())) is found
        path.write_text("acme hunter2")
        clock.advance(LOOK_EVERY)
        path.unlink()
        clock.advance(LOOK_EVERY)
        assert len(file.keys) == 2
        path.write_text(other)
        clock.advance(LOOK_EVERY)
        assert file.keys.find(digest(one.encode())) is None
    finally:
        file.unwatch()
    assert clock.getDelayedCalls() == []


def test_no_limit_of_its_own(tmp_path: Path) -> None:
    key, line = make_key("acme")
    path = tmp_path / "keys"
    path.write_text(line)
    for limit in (None, False):
        file = KeyFile(str(path), (ConsumerSection(name="acme", limit=limit),))
        found = file.keys.find(digest(key.encode()))
        assert found is not None and found.quota is None
