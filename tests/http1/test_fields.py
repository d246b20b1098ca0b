"""Tests of apigw.http1.fields: RFC 9110 sections 5.1, 5.5, 5.6.2 and RFC 9112 sections 2.2, 5."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.http1.errors import BadMessage
from apigw.http1.fields import (
    check_fields,
    is_field_value,
    is_token,
    parse_fields,
    serialize_head,
    special_fields,
    wire_lines,
)

from .strategies import field_values, plain_fields, tokens

TCHAR = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
CONTROLS = [*range(9), *range(10, 32), 127]


def test_token_characters_are_those_of_rfc_9110_section_5_6_2() -> None:
    assert {byte for byte in range(256) if is_token(bytes([byte]))} == TCHAR
    assert {byte for byte in range(256) if is_token(b"a%cb" % byte)} == TCHAR
    assert not is_token(b"")


def test_value_characters_are_those_of_rfc_9110_section_5_5() -> None:
    assert {byte for byte in range(256) if not is_field_value(b"a%cb" % byte)} == set(CONTROLS)


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"\xc3\xa9", b"a \t b"])
def test_field_value(value: bytes) -> None:
    assert is_field_value(value)


@pytest.mark.parametrize("value", [b" ", b"\t", b" a", b"a ", b"a\t", b"a\n", b"\r", b"a\0"])
def test_not_a_field_value(value: bytes) -> None:
    assert not is_field_value(value)


@given(tokens, field_values)
def test_what_passes_the_check_comes_back_as_it_was(name: bytes, value: bytes) -> None:
    check_fields([(name, value)])
    assert parse_fields(serialize_head(b"", [(name, value)]), 0, 400) == [(name, value)]


@pytest.mark.parametrize("field", [(b"", b"a"), (b"a b", b"c"), (b"a:", b"c"), (b"a", b"b\r\nc: d"), (b"a", b" b")])
def test_check_refuses(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="not a"):
        check_fields([(b"X", b"y"), field])


# -- parsing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        (b"", []),
        (b"A: b\r\n", [(b"A", b"b")]),
        (b"A:b\r\n", [(b"A", b"b")]),
        (b"a: \t b \t \r\n", [(b"a", b"b")]),  # OWS, RFC 9112 section 5.1
        (b"a:\r\n", [(b"a", b"")]),
        (b"a: \t\r\n", [(b"a", b"")]),
        (b"a: b  c\td\r\n", [(b"a", b"b  c\td")]),
        (b"a: :\r\n", [(b"a", b":")]),
        (b"a: b: c\r\n", [(b"a", b"b: c")]),
        (b"a: caf\xc3\xa9\xff\r\n", [(b"a", b"caf\xc3\xa9\xff")]),  # obs-text stays as it is
        (b"X-a: 1\r\nx-A: 2\r\nX-a: 3\r\n", [(b"X-a", b"1"), (b"x-A", b"2"), (b"X-a", b"3")]),
        (b"!#$%&'*+-.^_`|~: b\r\n", [(b"!#$%&'*+-.^_`|~", b"b")]),
    ],
)
def test_field_lines(lines: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    assert parse_fields(b"GET / HTTP/1.1\r\n" + lines + b"\r\n", 14, 400) == fields


REFUSED = [
    (b"a: b\nc: d\r\n", "bare-lf"),  # RFC 9112 section 2.2
    (b"a: b\n\r\n", "bare-lf"),
    (b"\na: b\r\n", "bare-lf"),
    (b"a: b\rc: d\r\n", "bare-cr"),
    (b"a: b\r\r\n", "bare-cr"),
    (b"a\r: b\r\n", "bare-cr"),
    (b"a: b\r\n c\r\n", "obs-fold"),  # RFC 9112 section 5.2
    (b"a: b\r\n\tc\r\n", "obs-fold"),
    (b"a: b\r\n \r\n", "obs-fold"),
    (b" a: b\r\n", "obs-fold"),  # RFC 9112 section 2.2, before the first field
    (b"a : b\r\n", "space-before-colon"),  # RFC 9112 section 5.1
    (b"a\t: b\r\n", "space-before-colon"),
    (b"a b: c\r\n", "bad-field-name"),
    (b": b\r\n", "bad-field-name"),
    (b"\xc3\xa9: b\r\n", "bad-field-name"),
    (b'a"b: c\r\n', "bad-field-name"),
    (b"a(b): c\r\n", "bad-field-name"),
    (b"a/b: c\r\n", "bad-field-name"),
    (b"a[0]: c\r\n", "bad-field-name"),
    (b"a@b: c\r\n", "bad-field-name"),
    (b"ab\r\n", "bad-field-line"),
    (b"a: b\r\nc\r\n", "bad-field-line"),
    (b"GET / HTTP/1.1\r\n", "bad-field-line"),
    (b"\r\na: b\r\n", "bad-field-line"),
    (b"a: b\r\n\r\n", "bad-field-line"),
    (b"a: b\r\n\r\nGET / HTTP/1.1\r\nHost: c\r\n", "bad-field-line"),
]


@pytest.mark.parametrize(("lines", "code"), REFUSED)
@pytest.mark.parametrize("status", [400, 502])
def test_refuses(lines: bytes, code: str, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_fields(b"\r\nHost: a\r\n" + lines + b"\r\n", 0, status)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize("byte", [byte for byte in CONTROLS if byte not in b"\r\n"])
@pytest.mark.parametrize("line", [b"a%cb: c\r\n", b"a:%cb\r\n", b"a: b%cc\r\n", b"a: b%c\r\n", b"%ca: b\r\n"])
def test_refuses_control_bytes(line: bytes, byte: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_fields(b"\r\n" + line % byte + b"\r\n", 0, 400)
    assert caught.value.code == "control-character"


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n", b"\r\n\n", b"\n\r\n", b"\r\n\r\nx", b"\r\n\r\n\n"])
def test_refuses_another_end(end: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_fields(b"\r\na: b" + end, 0, 400)


def test_details_never_quote_the_message() -> None:
    for lines, _ in REFUSED:
        with pytest.raises(BadMessage) as caught:
            parse_fields(b"\r\nsecret: secret\r\n" + lines + b"\r\n", 0, 400)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        b"a:" + b" " * 500_000 + b"\n",
        b"a:" + b" " * 500_000 + b"\0\r\n",
        b"a: " + b"b " * 250_000 + b"\0\r\n",
        b"a: b" + b" " * 500_000 + b"\0\r\n",
        b"a" * 500_000 + b"\r\n",
        b"a:\r\n" * 100_000 + b"\0",
        b"\r\n" * 250_000,
    ],
)
def test_takes_linear_time(lines: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(BadMessage):
        parse_fields(b"\r\n" + lines + b"\r\n\r\n", 0, 400)
    assert time.process_time() - begun < 2  # some 10 ms; hours, were it quadratic


# -- looking some up -----------------------------------------------------------------------------------


def test_special_fields_are_joined_in_order() -> None:
    fields = [(b"A", b"1"), (b"B", b"2"), (b"a", b"3"), (b"C", b"4"), (b"a", b"")]
    assert special_fields(fields, frozenset((b"a", b"c"))) == {b"a": b"1, 3, ", b"c": b"4"}


# -- serialising ---------------------------------------------------------------------------------------


def test_serialises() -> None:
    assert serialize_head(b"x", []) == b"x\r\n\r\n"
    assert serialize_head(b"x", [(b"A", b"b"), (b"a", b"")]) == b"x\r\nA: b\r\na: \r\n\r\n"


@given(plain_fields, plain_fields)
def test_lines_made_before_come_after_the_fields(
    fields: list[tuple[bytes, bytes]], more: list[tuple[bytes, bytes]]
) -> None:
    assert serialize_head(b"x", fields, wire_lines(more)) == serialize_head(b"x", [*fields, *more])


def test_no_control_byte_gets_into_lines_made_before() -> None:
    for field in ((b"a", b"b\r\nc: d"), (b"a\n", b"b"), (b"a", b"\0")):
        with pytest.raises(ValueError, match="control character"):
            wire_lines([(b"A", b"b"), field])


@given(plain_fields)
def test_fields_come_back_as_they_were(fields: list[tuple[bytes, bytes]]) -> None:
    assert parse_fields(serialize_head(b"", fields), 0, 400) == fields


@pytest.mark.parametrize("byte", CONTROLS)
@pytest.mark.parametrize("form", [b"%c", b"a%c", b"%ca", b"a%cb"])
def test_no_control_byte_gets_out(byte: int, form: bytes) -> None:
    text = form % byte
    for start, field in ((text, (b"a", b"b")), (b"x", (text, b"b")), (b"x", (b"a", text))):
        with pytest.raises(ValueError, match="control character"):
            serialize_head(start, [field])


@given(st.lists(st.sampled_from((b"\r\n", b"\r", b"\n", b"a")), min_size=1, max_size=6).map(b"".join))
def test_no_line_gets_in(text: bytes) -> None:
    if text.strip(b"a"):
        with pytest.raises(ValueError, match="control character"):
            serialize_head(b"x", [(b"a", text), (b"b", text)])
