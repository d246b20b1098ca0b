"""JSON that is cut to shape."""

from __future__ import annotations

import json
import sys

import pytest

from apigw.policy.json_shape import NotJson, Shape, parse, values, write

VALUE = {"id": 1, "user": {"name": "ann", "password": "x"}, "items": [{"id": 2, "key": "a"}, 3, [{"key": "b"}]]}


def shaped(shape: Shape, value: object = VALUE) -> object:
    return shape(parse(json.dumps(value).encode()))


def test_members_are_selected() -> None:
    assert shaped(Shape(select=[("id",), ("user", "name"), ("items", "key"), ("none", "x")])) == {
        "id": 1,
        "user": {"name": "ann"},
        "items": [{"key": "a"}, 3, [{"key": "b"}]],
    }
    assert shaped(Shape(select=[("user",), ("user", "name")])) == {"user": VALUE["user"]}


def test_members_are_removed() -> None:
    found = shaped(Shape(remove=[("user", "password"), ("items", "key"), ("id",)]))
    assert found == {"user": {"name": "ann"}, "items": [{"id": 2}, 3, [{}]]}
    assert shaped(Shape(remove=[("a", "b"), ("a",)]), {"a": {"b": 1}}) == {}
    assert shaped(Shape(remove=[("a", "b")]), {"a": "text"}) == {"a": "text"}


def test_members_are_renamed() -> None:
    shape = Shape(rename={("id",): "number", ("user", "name"): "password", ("items", "key"): "k"})
    assert shaped(shape) == {
        "number": 1,
        "user": {"password": "ann"},
        "items": [{"id": 2, "k": "a"}, 3, [{"k": "b"}]],
    }


def test_a_top_level_array_is_meant_with_each_item() -> None:
    assert shaped(Shape(select=[("a",)]), [{"a": 1, "b": 2}, 5]) == [{"a": 1}, 5]


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_what_is_not_json(text: bytes) -> None:
    with pytest.raises(NotJson):
        parse(text)


def test_what_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(NotJson):
        write(parse(b"[1e999]"))
    assert write(parse('{"a": "\N{SNOWMAN} \\ud800"}'.encode())) == b'{"a":"\\u2603 \\ud800"}'


@pytest.mark.parametrize("shape", [Shape([("a",)]), Shape((), [("a",)]), Shape((), (), {("a",): "b"})])
def test_what_is_nested_too_deeply_to_be_changed_is_refused(shape: Shape) -> None:
    """Deep enough for that, but not for the parser, which needs less for each array."""
    value: list[object] = []
    for _ in range(sys.getrecursionlimit()):
        value = [value]
    with pytest.raises(NotJson):
        shape(value)


@pytest.mark.parametrize("text", ["{}", "7", "[1,[2,{}],{}]", '{"a":1,"b":[]}', '["a,b"]'])
def test_values_are_never_counted_too_few(text: str) -> None:
    def count(value: object) -> int:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + sum(map(count, inside))

    assert values(text) == values(text.encode()) >= count(json.loads(text))


def test_what_has_too_many_values_is_not_read() -> None:
    many = b"[" + b"{}," * 99 + b"{}]"
    assert len(parse(many, values(many))) == 100
    with pytest.raises(NotJson, match="more than 100 values"):
        parse(many, 100)
