import pytest

from apigw.config.draft import KINDS, rows_of, section_kind, unknown_key


@pytest.mark.parametrize("header", ["gateway", "service:user", "route:music-lib.v2"])
def test_headers(header):
    assert section_kind(header).kind == header.partition(":")[0]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("gatway", "unknown section, did you mean [gateway]?"),
        ("Service:user", "unknown section, did you mean [service:user]?"),
        ("routes", "unknown section, did you mean [route:NAME]?"),
        ("services:user", "unknown section, did you mean [service:user]?"),
        ("hosts:a", "unknown section, did you mean [host:a]?"),
        ("elephant", "unknown section, write one of [gateway], [listener:NAME], "),
        ("gateway:a", "takes no name, write [gateway]"),
        ("gateway:", "takes no name, write [gateway]"),
        ("service", "needs a name, write [service:NAME]"),
        ("service:", "needs a name, write [service:NAME]"),
        ("service:a b", "'a b' is not a name"),
        ("traceing", "unknown section, did you mean [tracing]?"),
        ("DEFAULT", "unknown section"),
    ],
)
def test_what_is_no_header(header, said):
    with pytest.raises(ValueError) as caught:
        section_kind(header)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("route", "timout", "unknown key, did you mean timeout.total?"),
        ("gateway", "MAX_BODY", "unknown key, did you mean max_body?"),
        ("service", "retry.attempt", "unknown key, did you mean retry.attempts?"),
        ("demo", "strip_prefix", "unknown key, it belongs into [route:NAME]"),
        ("demo", "x", "unknown key, there are enabled"),
        ("route", "stage", "unknown key, did you mean stages?"),
    ],
)
def test_what_is_said_of_an_unknown_key(kind, key, said):
    assert unknown_key(KINDS[kind], key) == said


def test_the_rows_of_a_variable_stand_in_one_line():
    rows = rows_of("a \r\n b\nc", 7)
    assert [(row.text, row.line) for row in rows] == [("a", 7), ("b", 7), ("c", 7)]
