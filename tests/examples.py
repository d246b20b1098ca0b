"""The examples in the documentation, as what they are examples of."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"

_BLOCK = re.compile(r"^```ini\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def ini_examples(page: str) -> list[str]:
    """:param page: below docs, such as ``stages/jwt.md``. :return: texts of its INI files, at least one."""
    found = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    assert found, f"{page} has no INI example"
    return found
