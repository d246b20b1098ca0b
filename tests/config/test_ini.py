"""The reader of INI files, against configparser, and on its own where it says more."""

from configparser import ConfigParser

from hypothesis import given
from hypothesis import strategies as st

from apigw.config.ini import read_ini, reading
from apigw.config.steps import LINES


def read(text):
    errors = []
    return read_ini(text, "f", errors.append), [str(error) for error in errors]


def values(blocks):
    return {
        header: {key: [row.text for row in entry.rows] for key, entry in block.entries.items()}
        for header, block in blocks.items()
    }


def test_sections_keys_and_values():
    blocks, errors = read("[a]\nx = 1\nY.z=2 = 3\n\n[b:c]\nx =\n")
    assert errors == []
    assert values(blocks) == {"a": {"x": ["1"], "Y.z": ["2 = 3"]}, "b:c": {"x": [""]}}
    assert (blocks["a"].line, blocks["b:c"].line) == (1, 5)
    assert blocks["a"].entries["Y.z"].line == 3


def test_spaces_around_names_do_not_matter():
    blocks, errors = read("[ a : b ]\n")
    assert (list(blocks), errors) == (["a:b"], [])


def test_comments():
    blocks, errors = read("; one\n# two\n[a] ; three\nx = 1 ; four\ny = a;b#c # d\n   ; five\nz = ; six\n")
    assert errors == []
    assert values(blocks) == {"a": {"x": ["1"], "y": ["a;b#c # d"], "z": [""]}}


def test_values_go_on_in_indented_lines():
    blocks, errors = read("[a]\nx = 1,\n  2 ; two\n\n  # three\n\t3\ny =\n  4\n")
    assert errors == []
    rows = blocks["a"].entries["x"].rows
    assert [(row.text, row.line) for row in rows] == [("1,", 2), ("2", 3), ("3", 6)]
    assert [(row.text, row.line) for row in blocks["a"].entries["y"].rows] == [("", 7), ("4", 8)]


def test_a_section_may_be_indented_as_a_whole():
    blocks, errors = read("[a]\n  x = 1\n  y = 2\n    3\n[b]\n  z = 4\n")
    assert errors == []
    assert values(blocks) == {"a": {"x": ["1"], "y": ["2", "3"]}, "b": {"z": ["4"]}}


def test_lines_end_in_any_way():
    assert values(read("[a]\r\nx = 1\r\n  2\ry = 3\n")[0]) == {"a": {"x": ["1", "2"], "y": ["3"]}}


def test_duplicates_are_told_with_both_lines():
    blocks, errors = read("[a]\nx = 1\n[b]\n[a]\nx = 2\ny = 3\n")
    assert errors == [
        "f:4: [a]: is here twice, first in line 1; make one section of the two",
        "f:5: [a] x: is here twice, first in line 2; keep one of the two",
    ]
    assert values(blocks) == {"a": {"x": ["1"], "y": ["3"]}, "b": {}}


def test_what_is_neither_section_nor_key():
    _, errors = read("[a]\nhello\n= 1\nkey: value\n[b\n[]\n[c] d\n[e]]\n")
    assert errors == [
        "f:2: [a]: 'hello' is neither [section] nor key = value",
        "f:3: [a]: '= 1' is neither [section] nor key = value",
        "f:4: [a]: 'key: value' is neither [section] nor key = value",
        "f:5: '[b' is not a section, write [name] or [kind:name] on a line of its own",
        "f:6: '[]' is not a section, write [name] or [kind:name] on a line of its own",
        "f:7: '[c] d' is not a section, write [name] or [kind:name] on a line of its own",
        "f:8: '[e]]' is not a section, write [name] or [kind:name] on a line of its own",
    ]


def test_keys_before_any_section_and_below_a_broken_one():
    blocks, errors = read("x = 1\n[a\ny = 2\n  3\n[b]\nz = 4\n")
    assert errors == [
        "f:1: 'x' stands before the first section, put it below one, such as [gateway]",
        "f:2: '[a' is not a section, write [name] or [kind:name] on a line of its own",
    ]
    assert values(blocks) == {"b": {"z": ["4"]}}


def test_control_characters_are_told():
    _, errors = read("[a]\nx = 1\x00\ny\x1b = 2\n")
    assert errors == [
        "f:2: [a]: holds the control character '\\x00', remove it",
        "f:3: [a]: holds the control character '\\x1b', remove it",
    ]


WORD = st.text("abcXYZ01._-", min_size=1, max_size=6)
VALUE = st.text("abc =:%$#,[]/01", max_size=12).map(str.strip)
COMMENT = st.sampled_from(["", "", " ; note", "\t;note = 1"])
NOISE = st.lists(st.sampled_from(["", "# note", "; [a] = 1", "   "]), max_size=2)


@st.composite
def well_formed(draw):
    lines = []
    for header in draw(st.lists(WORD, unique=True, max_size=4)):
        lines += [*draw(NOISE), f"[{header}]{draw(COMMENT)}"]
        for key in draw(st.lists(WORD, unique=True, max_size=4)):
            lines += [*draw(NOISE), f"{key} = {draw(VALUE)}{draw(COMMENT)}"]
            for more in draw(st.lists(VALUE.filter(lambda v: v and v[0] not in "#;"), max_size=2)):
                lines += [*draw(NOISE), f"    {more}{draw(COMMENT)}"]
    return "\n".join(lines)


@given(well_formed())
def test_configparser_reads_the_same(text):
    parser = ConfigParser(
        interpolation=None,
        strict=True,
        default_section="",
        delimiters=("=",),
        inline_comment_prefixes=(";",),
    )
    parser.optionxform = str
    parser.read_string(text)
    theirs = {
        header: {key: [line for line in value.split("\n") if line] for key, value in parser.items(header)}
        for header in parser.sections()
    }
    blocks, errors = read(text)
    assert errors == []
    mine = {
        header: {key: [line for line in rows if line] for key, rows in keys.items()}
        for header, keys in values(blocks).items()
    }
    assert mine == theirs


@given(st.text() | st.text("[]=;# \t\n\rab:", max_size=60))
def test_any_text_is_read(text):
    blocks, errors = read(text)
    lines = len(text.splitlines()) + 1
    for block in blocks.values():
        assert 1 <= block.line <= lines
        assert all(row.text or row is entry.rows[0] for entry in block.entries.values() for row in entry.rows)
    assert all(error.startswith("f:") for error in errors)


def test_long_files_are_read_in_steps() -> None:
    text = "[a]\n" + "".join(f"key{number} = 1\n" for number in range(3 * LINES))
    steps = reading(text, "f", lambda error: None)
    assert len(list(steps)) == 3
    assert len(read_ini(text, "f", lambda error: None)["a"].entries) == 3 * LINES
