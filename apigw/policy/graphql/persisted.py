"""Files of the documents that a gateway lets through."""

from __future__ import annotations

import json
from typing import Any

FORMAT = "apollo-persisted-query-manifest"


def listed(text: str) -> dict[str, str]:
    """
    :param text: JSON: an object of names (a hash, as a rule) and documents, or a manifest of Apollo's tools.
    :return: documents by name.
    :raises ValueError: it is neither.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if isinstance(value, dict) and value.get("format") == FORMAT:
        value = _manifest(value)
    if not isinstance(value, dict) or not all(isinstance(document, str) for document in value.values()):
        raise ValueError(f"is neither an object of names and documents nor of the format {FORMAT}")
    if not value:
        raise ValueError("has no document, so nothing could be asked")
    found: dict[str, str] = value
    return found


def _manifest(value: dict[str, Any]) -> dict[str, Any]:
    try:
        return {operation["id"]: operation["body"] for operation in value["operations"]}
    except (KeyError, TypeError):
        raise ValueError("has operations without id and body") from None
