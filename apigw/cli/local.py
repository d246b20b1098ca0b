"""What needs no running gateway: checks of files, keys, tokens."""

from __future__ import annotations

import json
import os
import sys
from secrets import token_hex
from time import time

from apigw.config import ConfigErrors, load
from apigw.config.consumers import make_key
from apigw.config.units import parse_duration


def check(path: str | None, as_json: bool) -> int:
    """Validate a configuration file as ``twistd apigw --check`` does."""
    errors = ""
    try:
        load(path, os.environ)
    except ConfigErrors as wrong:
        errors = str(wrong)
    if as_json:
        print(json.dumps({"ok": not errors, "errors": errors.splitlines()}))
    else:
        print(errors or f"{path or 'environment'}: ok", file=sys.stderr if errors else sys.stdout)
    return 1 if errors else 0


def key(consumer: str, as_json: bool) -> int:
    """Make an API key; only its hash goes into the file of keys."""
    try:
        made, line = make_key(consumer)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(json.dumps({"key": made, "line": line}) if as_json else f"key   {made}\nline  {line}")
    return 0


def token(path: str | None, user: str | None, roles: str, scopes: str, lasts: str, as_json: bool) -> int:
    """
    Make a token: for a user one signed with the secret of ``[jwt]``, to try routes with; else one for operators.

    :param roles: with commas between them; so ``scopes``.
    """
    if user is None:
        made = token_hex(24)
        print(json.dumps({"token": made}) if as_json else made)
        return 0
    try:
        made = _signed(path, user, _words(roles), _words(scopes), parse_duration(lasts))
    except (ConfigErrors, ValueError) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(json.dumps({"token": made}) if as_json else made)
    return 0


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _signed(path: str | None, user: str, roles: list[str], scopes: list[str], seconds: float) -> str:
    """:raises ValueError: there is no secret to sign with."""
    import jwt  # takes 100 ms, and no other command needs it

    section = load(path, os.environ).jwt
    secret = None if section is None else section.secret
    if section is None or secret is None:
        raise ValueError("There is no secret in [jwt]: only its issuer can make a token.")
    algorithm = next((name for name in section.algorithms if name.startswith("HS")), "HS256")
    now = int(time())
    claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + int(seconds)}
    claims |= {"roles": roles} if roles else {}
    claims |= {"scope": " ".join(scopes)} if scopes else {}
    claims |= {"iss": section.issuer} if section.issuer else {}
    claims |= {"aud": section.audience[0]} if section.audience else {}
    return jwt.encode(claims, secret.value, algorithm)
