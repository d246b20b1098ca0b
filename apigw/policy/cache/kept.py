"""An answer as bytes, for where it is kept outside of the process: a line of JSON, then the body."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from apigw.policy.cache.store import Entry, Space, Uri
from apigw.policy.cache.terms import Terms


def packed(entry: Entry, seconds: float, epoch: float) -> bytes:
    """
    :param seconds: monotonic. :param epoch: the same moment, in seconds since 1970.
    """
    terms = entry.terms
    value = {
        "status": entry.status,
        "reason": _text(entry.reason),
        "fields": [[_text(name), _text(value)] for name, value in entry.fields],
        "born": epoch - entry.at(seconds),
        "lifetime": terms.lifetime,
        "strict": terms.strict,
        "shared": terms.shared,
        "s_maxage": terms.s_maxage,
        "while_revalidate": terms.while_revalidate,
        "if_error": terms.if_error,
        "vary": [_text(name) for name in entry.vary],
        "values": [None if one is None else _text(one) for one in entry.values],
        "size": len(entry.body),
    }
    return json.dumps(value).encode() + b"\n" + entry.body


def unpacked(data: bytes, uri: Uri, space: Space, seconds: float, epoch: float) -> Entry | None:
    """
    :param uri: and ``space``: where it was found.
    :return: None for what is no whole answer, whoever has written it.
    """
    head, end, body = data.partition(b"\n")
    if not end:
        return None
    try:
        value = json.loads(head)
        fields = [(_bytes(name), _bytes(text)) for name, text in value["fields"]]
        values = tuple(None if one is None else _bytes(one) for one in value["values"])
        vary = tuple(_bytes(name) for name in value["vary"])
        status, reason = value["status"], _bytes(value["reason"])
        seen = [_number(value[name]) for name in ("born", "lifetime", "while_revalidate", "if_error")]
        born, lifetime, while_revalidate, if_error = seen
        flags = [value[name] is True for name in ("strict", "shared", "s_maxage")]
        if value["size"] != len(body) or len(vary) != len(values) or not isinstance(status, int):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not 200 <= status <= 599 or any(b"\r" in text or b"\n" in text for pair in fields for text in pair):
        return None
    strict, shared, s_maxage = flags
    terms = Terms(lifetime, strict, shared, s_maxage, while_revalidate, if_error)
    age = max(0.0, epoch - born)
    return Entry(uri, space, status, reason, fields, body, terms, age, seconds, vary, values)


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(value: Any) -> bytes:
    encoded: bytes = value.encode("latin-1")
    return encoded


def _number(value: Any) -> float:
    found = float(value)
    if not isfinite(found):
        raise ValueError("not a number")
    return found
