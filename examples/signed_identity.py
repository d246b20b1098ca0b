"""
A service that believes the gateway alone: it answers who is asking.

    INTERNAL_SERVICE_SECRET=... python examples/signed_identity.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import make_server

from apigw.identity import IdentityRefused, verify

SECRET = os.environ["INTERNAL_SERVICE_SECRET"].strip().encode()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    try:
        caller = verify(headers, SECRET)
    except IdentityRefused:
        start_response("401 Unauthorized", [("Content-Type", "application/json")])
        return [b'{"error": "this request did not come through the gateway"}']
    start_response("200 OK", [("Content-Type", "application/json")])
    who = {"user": None, "roles": []} if caller is None else {"user": caller.user, "roles": caller.roles}
    return [json.dumps(who).encode()]


if __name__ == "__main__":
    make_server("127.0.0.1", 9001, application).serve_forever()
