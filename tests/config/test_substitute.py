import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.substitute import secret, substitute

ENVIRON = {"HOST": "a.example", "EMPTY": "", "NESTED": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "result", "used"),
    [
        ("plain $HOST $5", "plain $HOST $5", []),
        ("http://${HOST}:80", "http://a.example:80", ["HOST"]),
        ("${HOST}${HOST}", "a.examplea.example", ["HOST", "HOST"]),
        ("${EMPTY}", "", ["EMPTY"]),
        ("${EMPTY:-b}", "b", []),
        ("${UNSET:-b}", "b", []),
        ("${UNSET:-}", "", []),
        ("${HOST:-b}", "a.example", ["HOST"]),
        ("${UNSET:-http://x:1}", "http://x:1", []),
        ("$${HOST}", "${HOST}", []),
        ("$$${HOST}", "$${HOST}", []),
        ("${NESTED}", "${HOST}", ["NESTED"]),
    ],
)
def test_references(text, result, used):
    assert substitute(text, ENVIRON) == (result, used)


def test_a_variable_that_is_not_set():
    with pytest.raises(
        ValueError, match=r"the environment variable UNSET is not set, set it or write \${UNSET:-default}"
    ):
        substitute("${UNSET}", ENVIRON)


@pytest.mark.parametrize("text", ["${", "${HOST", "${}", "${1A}", "${A B}", "${A:b}", "${A-b}"])
def test_what_is_no_reference(text):
    with pytest.raises(ValueError, match="is not a variable, write"):
        substitute(text, ENVIRON)


@given(st.text())
def test_an_escaped_text_stays_itself(text):
    assert substitute(text.replace("${", "$${"), {}) == (text, [])


@pytest.mark.parametrize("name", ["JWT_SECRET", "API_TOKEN", "DB_PASSWORD", "API_KEY", "key", "AWS_CREDENTIALS"])
def test_names_that_tell_of_secrets(name):
    assert secret(name)


@pytest.mark.parametrize("name", ["HOST", "KEYBOARD", "MONKEYS", "PORT"])
def test_names_that_do_not(name):
    assert not secret(name)
