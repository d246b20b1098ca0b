"""What operators have done, as it is kept and handed on."""

from __future__ import annotations

import pytest

from apigw.admin.done import KEPT, NOTHING, PASSED, Asking, Done, Handed, HandedOn, handed


def asking(number: int, path: bytes = b"/api/peers") -> Asking:
    return b"POST", path, b"application/json", b"%d" % number


def test_of_equal_requests_the_last_counts() -> None:
    done = Done([asking(1), asking(2)])
    done.note(asking(1))
    done.note(asking(3))
    assert list(done) == [asking(2), asking(1), asking(3)]


def test_what_changes_nothing_that_a_new_process_has_is_not_kept() -> None:
    done = Done()
    done.note(asking(1, b"/api/cache/purge"))
    assert list(done) == []


def test_the_first_are_forgotten() -> None:
    done = Done()
    for number in range(KEPT + 2):
        done.note(asking(number))
    kept = list(done)
    assert (len(kept), kept[0], kept[-1]) == (KEPT, asking(2), asking(KEPT + 1))


def test_it_is_handed_on_as_it_is() -> None:
    told = Handed((asking(1), (b"DELETE", b"/\xff", None, bytes(range(256)))), '{"kind": "jti"}\n')
    assert handed({PASSED: str(told.file())}) == told


def test_a_process_that_follows_none_or_one_that_tells_nothing_begins_anew() -> None:
    assert handed({}) is NOTHING


def test_what_would_be_forgotten_is_refused() -> None:
    handed_on = False
    done = Done(handed_on=lambda: handed_on)
    done.check()
    handed_on = True
    with pytest.raises(HandedOn):
        done.check()
