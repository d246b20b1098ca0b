"""Whose a key is, and which lines a file of keys may have."""

import pytest

from apigw.policy.api_keys import ApiKeys, digest, parse_line, parse_lines
from apigw.policy.principal import Principal

A = f"sha256:{digest(b'a').hex()}"
B = f"sha256:{digest(b'b').hex().upper()}"


def test_lines() -> None:
    text = f"# all of them\n\nacme {A} nightly\n  other\t{B}\n"
    assert list(parse_lines(text)) == [("acme", digest(b"a")), ("other", digest(b"b"))]


@pytest.mark.parametrize("line", ["acme", "acme hunter2", f"acme{A}", f"acme {A}0", f"acme {A[:-1]}", f"{A} acme"])
def test_other_lines_are_refused_and_not_told(line: str) -> None:
    with pytest.raises(ValueError, match="CONSUMER sha256:HEX") as caught:
        parse_line(line)
    assert "hunter2" not in str(caught.value)


def test_the_hash_of_nothing_is_no_key() -> None:
    with pytest.raises(ValueError, match="hash of nothing"):
        parse_line(f"acme sha256:{digest(b'').hex()}")


def test_a_key_has_one_consumer() -> None:
    with pytest.raises(ValueError, match="line 3 has the key of line 1"):
        list(parse_lines(f"acme {A}\n\nother {A}\n"))


def test_finding() -> None:
    acme = Principal("robot", ("partner",), consumer="acme")
    keys = ApiKeys({"acme": acme})
    assert (len(keys), keys.find(digest(b"a"))) == (0, None)
    keys.replace([("acme", digest(b"a")), ("acme", digest(b"b")), ("new", digest(b"c"))])
    assert keys.find(digest(b"a")) is keys.find(digest(b"b")) is acme
    assert keys.find(digest(b"c")) == Principal("new", consumer="new")
    keys.replace([("acme", digest(b"b"))])
    assert (len(keys), keys.find(digest(b"a")), keys.find(digest(b"c"))) == (1, None, None)
