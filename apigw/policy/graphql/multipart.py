"""
Uploads of files: finds what is asked for, in bodies that leave no doubt where their parts are.

Source: jaydenseric/graphql-multipart-request-spec; RFC 7578; RFC 2046 section 5.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apigw.policy.graphql.asked import Asked, malformed, read_body, read_json
from apigw.policy.graphql.refused import Refused

_TYPE = re.compile(
    rb"multipart/form-data *; *boundary=(?:\"([!-~ ]{1,70})\"|([!#$%&'*+.^_`|~0-9A-Za-z-]{1,70}))", re.I
).fullmatch

_NAME = re.compile(
    rb'content-disposition: *form-data; *name="([A-Za-z0-9_.-]{1,64})"(?:; *filename="[^"\\\x00-\x1f]*")?', re.I
).fullmatch

_OTHER = re.compile(rb"content-(?:type|length): *[ -~]+", re.I).fullmatch

_PATH = re.compile(r"(?:[0-9]{1,4}\.)?variables\..+", re.DOTALL).fullmatch


def boundary(content_type: bytes) -> bytes:
    """
    :raises Refused: it has none, or is of no form.
    """
    found = _TYPE(content_type.strip())
    if found is None:
        raise Refused("media-type", "The form's media type is not multipart/form-data with a boundary.", status=415)
    return found[1] or found[2]


def read_form(data: bytes, between: bytes) -> Asked | list[Asked]:
    """
    :param between: the boundary.
    :raises Refused: the form isn't what it should be, or what is asked for in it.
    """
    parts = list(_parts(data, between))
    if [name for name, _ in parts[:2]] != ["operations", "map"]:
        raise malformed("The form doesn't begin with operations and map.")
    files = [name for name, _ in parts[2:]]
    if len(set(files)) < len(files) or {name.casefold() for name in files} & {"operations", "map"}:
        raise malformed("The form has a part twice.")
    paths = read_json(parts[1][1], "map")
    if not isinstance(paths, dict) or not all(isinstance(one, list) for one in paths.values()):
        raise malformed("map is not an object of lists.")
    for path in (path for listed in paths.values() for path in listed):
        if not isinstance(path, str) or not _PATH(path):
            raise malformed("map puts files where no variables are.")
    return read_body(parts[0][1])


def _parts(data: bytes, between: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents; nothing may stand before the first or behind the last."""
    line = b"--" + between
    first, *parts = (b"\r\n" + data).split(b"\r\n" + line)
    if data.count(line) > len(parts):
        raise malformed("The boundary of the form stands where no part begins.")
    if first or not parts or parts.pop() not in (b"--", b"--\r\n"):
        raise malformed("The form has no beginning or no end.")
    for part in parts:
        head, empty, content = part.partition(b"\r\n\r\n")
        if not empty or not head.startswith(b"\r\n"):
            raise malformed("A part of the form has no head.")
        names = []
        for field in head[2:].split(b"\r\n"):
            found = _NAME(field)
            if found is not None:
                names.append(found[1].decode("ascii"))
            elif _OTHER(field) is None:
                raise malformed("A part of the form has a field that is not known.")
        if len(names) != 1:
            raise malformed("A part of the form has no name, or several.")
        yield names[0], content
