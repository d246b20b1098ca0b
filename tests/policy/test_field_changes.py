"""Fields that are removed, renamed and added."""

from __future__ import annotations

import pytest

from apigw.policy.field_changes import FieldChanges, taken_of_request, taken_of_response

A, B, C = (b"X-A", b"1"), (b"x_a", b"2"), (b"X-C", b"3")


def test_a_name_is_meant_however_it_is_spelled() -> None:
    assert FieldChanges([b"x-a"])([A, B, C]) == [C]


def test_a_renamed_field_takes_the_place_of_what_has_its_name() -> None:
    changes = FieldChanges(renamed={b"x-a": b"X-C"}, added=[(b"X-D", b"4")])
    assert changes([A, C]) == [(b"X-C", b"1"), (b"X-D", b"4")]
    assert changes([C]) == [C, (b"X-D", b"4")]


def test_nothing_to_do_is_known() -> None:
    assert not FieldChanges()
    assert FieldChanges([b"x-a"])


@pytest.mark.parametrize(
    "name", ["Connection", "TE", "Transfer-Encoding", "X-User-Role", "x_user_id", "X-Forwarded-For", "Via", "Expect"]
)
def test_what_no_template_may_write(name: str) -> None:
    assert taken_of_request(name)


@pytest.mark.parametrize("name", ["Content-Length", "Keep-Alive", "Date", "Content-Encoding", "X-Correlation-Id"])
def test_nor_for_an_answer(name: str) -> None:
    assert taken_of_response(name)


def test_what_it_may() -> None:
    assert not taken_of_request("X-Env")
    assert not taken_of_response("Server")


def test_what_is_left_of_trailers() -> None:
    changes = FieldChanges([b"x-a"], {b"x-b": b"X-E"}, [(b"X-D", b"4")]).of_trailers
    assert changes([A, B, (b"X-B", b"1"), (b"X-E", b"2"), C, (b"X-D", b"1")]) == [C, (b"X-D", b"1")]
    assert not FieldChanges(added=[C]).of_trailers
