"""Uploads of files."""

from __future__ import annotations

import pytest

from apigw.policy.graphql.asked import Asked
from apigw.policy.graphql.multipart import boundary, read_form
from apigw.policy.graphql.refused import Refused

OPERATIONS = ("operations", b'{"query": "mutation($f: Upload!) {up(file: $f)}", "variables": {"f": null}}')
MAP = ("map", b'{"0": ["variables.f"]}')
FILE = ('0"; filename="a.txt', b"\r\n--not the boundary\r\n")


def form(*parts: tuple[str, bytes], more: bytes = b"") -> bytes:
    made = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n%b\r\n%b\r\n' % (name.encode(), more, content)
        for name, content in parts
    )
    return made + b"--b--\r\n"


def test_what_is_asked_for_is_found() -> None:
    for more in (b"", b"Content-Type: text/plain\r\n"):
        asked = read_form(form(OPERATIONS, MAP, FILE, more=more), b"b")
        assert isinstance(asked, Asked)
        assert asked.variables == {"f": None}
    batch = ("operations", b"[" + OPERATIONS[1] + b"]")
    assert isinstance(read_form(form(batch, ("map", b'{"0": ["0.variables.f"]}'), FILE), b"b"), list)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"--b--",
        form(),
        form(OPERATIONS),
        form(MAP, OPERATIONS, FILE),
        form(FILE, OPERATIONS, MAP),
        form(OPERATIONS, MAP, OPERATIONS),
        form(OPERATIONS, MAP, ("Operations", b"{}")),
        form(OPERATIONS, MAP, FILE, FILE),
        form(OPERATIONS, ("map", b'{"0": ["query"]}'), FILE),
        form(OPERATIONS, ("map", b'{"0": "variables.f"}'), FILE),
        form(OPERATIONS, ("map", b"[]"), FILE),
        form(OPERATIONS, MAP, FILE)[:-4],
        b"before\r\n" + form(OPERATIONS, MAP, FILE),
        form(OPERATIONS, MAP, FILE) + b"after",
        form(OPERATIONS, MAP, FILE).replace(b"\r\n\r\n", b"\n\n"),
        form(OPERATIONS, MAP, FILE, more=b"Content-Transfer-Encoding: base64\r\n"),
        form(OPERATIONS, MAP, FILE, more=b'Content-Disposition: form-data; name="x"\r\n'),
        form(("operations\"; name*=utf-8''x; y=\"", OPERATIONS[1]), MAP, FILE),
        form(("operations", b'{"query": 1}'), MAP, FILE),
        form(OPERATIONS, MAP, ("0", b'x\n--b\nContent-Disposition: form-data; name="operations"\n\n{}')),
    ],
)
def test_forms_that_are_refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_form(data, b"b")
    assert caught.value.rule == "request"


def test_boundaries() -> None:
    assert boundary(b"multipart/form-data; boundary=----WebKitFormBoundaryx1") == b"----WebKitFormBoundaryx1"
    assert boundary(b'Multipart/Form-Data;boundary="a b"') == b"a b"
    for wrong in (
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=a; boundary=b",
    ):
        with pytest.raises(Refused):
            boundary(wrong)
