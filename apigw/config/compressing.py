"""``compression`` and ``compress.*`` of a route."""

from __future__ import annotations

import re

from attrs import frozen

from apigw.config.kind import Kind, choice, list_of
from apigw.config.option import option
from apigw.config.units import SIZE

_WORDS = {"yes": "on", "true": "on", "no": "off", "false": "off"}
_PARSE = choice("on", "off", "public").parse
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]+|\*)|\+[a-z0-9!#$&^_.-]+").fullmatch


def parse_type(text: str) -> str:
    """:return: in lower case."""
    if not _TYPE(text.lower()):
        raise ValueError(f"{text!r} is not a media type, such as application/json, text/* or +json")
    return text.lower()


COMPRESSION = Kind("`on`, `off` or `public`", lambda text: _PARSE(_WORDS.get(text.lower(), text.lower())))
TYPES = list_of(Kind("media type", parse_type), "media types", at_least=1)


@frozen(kw_only=True)
class RouteCompression:
    types: tuple[str, ...] = option(
        TYPES,
        default=(
            "text/*",
            "+json",
            "+xml",
            "application/json",
            "application/javascript",
            "application/xml",
            "application/wasm",
            "application/x-ndjson",
        ),
        help="What is compressed; `text/*` is all that begins so, `+json` all that ends so.",
    )
    min_size: int = option(SIZE, default=1024, help="Bytes from which on it is worth it, where the length is known.")
