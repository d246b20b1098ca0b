"""``${NAME}`` and ``${NAME:-default}`` in values, from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "***"
"""Printed in the place of a secret."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?").fullmatch
_SECRET = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|(?:^|_)(?:API_?)?KEY(?:_|$)|PRIVATE", re.IGNORECASE).search


def secret(variable: str) -> bool:
    """Whether a variable's name tells that its value must not be shown."""
    return _SECRET(variable) is not None


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """
    Put the environment's values in.

    ``$${`` is a literal ``${``; a default is taken where the variable isn't set or is empty.

    :return: the text, and the names of the variables whose values are in it.
    :raises ValueError: a variable that isn't set and has no default, or what is no reference.
    """
    used: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        reference = _NAME(match[1])
        if not match[2] or reference is None:
            raise ValueError(
                f"{match[0]!r} is not a variable, write ${{NAME}} or ${{NAME:-default}}, or $${{ for a literal ${{"
            )
        name, default = reference.groups()
        value = environ.get(name)
        if value or (value is not None and default is None):
            used.append(name)
            return value
        if default is None:
            raise ValueError(f"the environment variable {name} is not set, set it or write ${{{name}:-default}}")
        return default

    return _REFERENCE.sub(replace, text), used
