"""Asks the admin listener of a running gateway."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

ADDRESS = "http://127.0.0.1:9900"
TOKEN_VARIABLE = "APIGW_ADMIN_TOKEN"
PATIENCE = 5.0
"""Seconds to wait for an answer that comes from memory."""

LONG = 60.0
"""The same for what has to be worked out first."""


class Trouble(Exception):
    """What the user is told."""


def ask(address: str, path: str, token: str, body: object = None, patience: float = PATIENCE) -> Any:
    """
    :param body: makes it a POST.
    :return: the value of the JSON body.
    :raises Trouble: there was no such answer, or it is one of an error.
    """
    fields = {"Authorization": f"Bearer {token}"} if token else {}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        fields["Content-Type"] = "application/json"
    request = Request(address.rstrip("/") + path, data, fields)
    opener = build_opener(ProxyHandler({}))  # whatever proxy the environment names, it isn't for this
    try:
        with opener.open(request, timeout=patience) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise Trouble(_told(error, address + path)) from None
    except (URLError, OSError) as error:
        raise Trouble(f"{address}: {getattr(error, 'reason', error)}") from None
    except ValueError:
        raise Trouble(f"{address}: that is not the admin listener") from None


def _told(error: HTTPError, url: str) -> str:
    with error:
        try:
            value = json.load(error)
        except ValueError:
            value = {}
    if error.code == 401:
        return f"{url}: {error.code} {error.reason}: set {TOKEN_VARIABLE} or give --token-file"
    detail = (value.get("detail") or value.get("reason")) if isinstance(value, dict) else None
    return str(detail) if detail else f"{url}: {error.code} {error.reason}"


def token(file: str | None) -> str:
    """:raises Trouble: the file can't be read."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{file}: {error}") from None


class Gateway:
    """The one that the command line names."""

    def __init__(self, given: Namespace) -> None:
        self._address = given.admin
        self._token = token(given.token_file)

    def get(self, path: str) -> Any:
        """:raises Trouble:"""
        return ask(self._address, path, self._token)

    def post(self, path: str, body: object, patience: float = PATIENCE) -> Any:
        """:raises Trouble:"""
        return ask(self._address, path, self._token, body, patience)
