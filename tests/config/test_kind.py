import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.kind import RowError, choice, list_of, pieces
from apigw.config.units import integer

NUMBERS = list_of(integer(0, 99), "numbers")


def test_a_choice_is_one_of_its_words():
    kind = choice("problem", "envelope")
    assert kind.parse("envelope") == "envelope"
    with pytest.raises(ValueError, match=r"^'envelop' is not problem or envelope, did you mean envelope\?$"):
        kind.parse("envelop")
    with pytest.raises(ValueError, match=r"^'xml' is not problem or envelope$"):
        kind.parse("xml")


def test_items_stand_between_commas_or_on_lines():
    assert list(pieces("1, 2,3")) == [(0, "1"), (0, "2"), (0, "3")]
    assert list(pieces("\n1\n2, 3,\n\n4")) == [(1, "1"), (2, "2"), (2, "3"), (4, "4")]
    assert list(pieces("")) == []


def test_a_lost_comma_is_told_with_its_row():
    with pytest.raises(RowError, match="between two commas") as caught:
        list(pieces("1\n2,,3"))
    assert caught.value.row == 1


def test_a_list_tells_in_which_row_an_item_is_wrong():
    with pytest.raises(RowError, match="'x' is not a whole number") as caught:
        NUMBERS.parse("1\n2\nx")
    assert caught.value.row == 2


def test_no_item_is_there_twice():
    with pytest.raises(RowError, match="'02' is here twice") as caught:
        NUMBERS.parse("1, 2\n02")
    assert caught.value.row == 1


def test_a_list_may_need_items():
    assert NUMBERS.parse("") == ()
    with pytest.raises(ValueError, match="has 1 items, write 2 or more"):
        list_of(integer(0, 9), "numbers", at_least=2).parse("1")


@given(st.lists(st.integers(0, 99), unique=True).map(tuple))
def test_what_a_list_renders_it_reads(numbers):
    assert NUMBERS.parse(NUMBERS.render(numbers)) == numbers
