"""Services by the environment alone: ``USER_SERVICE_URL`` registers the service ``user``, and a route to it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apigw.config.units import NO, YES

UNUSED_VARIABLES = ("REDIS_URL",)
"""No error, for they are set for others too, but told: what they were for is asked for in another way."""

_SERVICE_URL = re.compile(r"([A-Z0-9](?:[A-Z0-9_]{0,62}[A-Z0-9])?)_SERVICE_URL").fullmatch


def services(environ: Mapping[str, str]) -> dict[str, str]:
    """:return: names of services, such as ``music-lib``, with the variables that register them."""
    found = {}
    for variable in sorted(environ):
        match = _SERVICE_URL(variable)
        if match is not None and environ[variable].strip():
            found[match[1].lower().replace("_", "-")] = variable
    return found


def switch(variable: str) -> str:
    """The variable that says whether the service is wanted that ``variable`` registers."""
    return variable.removesuffix("_URL") + "_ENABLED"


def enabled(variable: str, environ: Mapping[str, str]) -> bool:
    """
    Whether the service that ``variable`` registers is wanted; it is unless :func:`switch` says otherwise.

    :raises ValueError: that is neither yes nor no.
    """
    text = environ.get(switch(variable), "").strip().lower()
    if text in (*NO, "0"):
        return False
    if text and text not in (*YES, "1"):
        raise ValueError(f"{text!r} is neither true nor false, write one of them")
    return True


def route(service: str) -> dict[str, str]:
    """What the route to a registered service says, where the file has none."""
    return {"path": f"/api/v1/{service}", "service": service, "rewrite": f"/api/{service}"}
