"""What of a request may stand in a log."""

from __future__ import annotations

import re
from collections.abc import Iterable

Field = tuple[bytes, bytes]

MAX_LOGGED = 2048
"""Bytes of path and query in a log line."""

SECRET_FIELDS = frozenset(
    (
        b"api-key",
        b"apikey",
        b"authentication-info",
        b"authorization",
        b"cookie",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"set-cookie",
        b"www-authenticate",
        b"x-amz-security-token",
        b"x-api-key",
        b"x-auth-token",
        b"x-csrf-token",
        b"x-goog-iap-jwt-assertion",
        b"x-user-id-signature",
        b"x-vault-token",
        b"x-xsrf-token",
    )
)
"""Fields whose values let others in."""

_value = re.compile(rb"(?<!=)=(?!=*(?:&|\Z))[^&]+")
_nameless = re.compile(rb"(?<=[&?])(?![^&=]{1,64}=\*(?:&|\Z)|[A-Za-z_-]{1,16}=?(?:&|\Z))[^&]+")
"""What is neither redacted nor a short word: a token may stand without a name, and base64 ends with ``=``."""

_jwt = re.compile(rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{4,}(?:(?:\.|%2[Ee])[A-Za-z0-9_-]*){1,4}")
_credentials = re.compile(
    r"\b(?i:(Bearer|Basic|Digest|Negotiate))[ \t]+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}"
    r"|(://[^/\s:@]{0,64}:)[^/\s]{1,256}(?=@)"
)
"""Each takes linear time, for it begins where no run of its characters is cut in two, or is short."""

_SECRET = (
    r"pass(?:word|wd|phrase)|secret(?:[-_]?key)?|token|(?:api|access|private)[-_]?key|credentials?|signature|assertion"
    r"|session[-_]?id"
)
_WHOLE = r"authorization|authentication-info|(?:www|proxy)-authenticate|cookie"
"""Fields of HTTP whose value goes on to the end of the line."""

_secret_name = re.compile(rf"(?i).*(?:{_SECRET}|{_WHOLE})").fullmatch
_between = r"""["']?[ \t]{0,4}(?:[:=][ \t]{0,4}|,[ \t]{0,4}(?=b?["']))"""
_quoted = r"""(b?")(?:[^"\\]|\\.){0,8192}"|(b?')(?:[^'\\]|\\.){0,8192}'|b?["'][^\r\n]*"""
_named = re.compile(
    rf"""(?i)((?:{_SECRET}){_between}|(?P<whole>(?:{_WHOLE}){_between}))"""
    rf"""(?:{_quoted}|(?(whole)[^\r\n]+|[^\s&,;"'<>)\]}}]+))"""
)
"""A name as it stands in fields, URLs, JSON or what Python shows of a dict or of a pair, with its value."""

_url_query = re.compile(r"((?<![A-Za-z])[A-Za-z]{2,8}://[^\s?\"']{1,1024}\?)[^\s#\"'<>)]+")
_private_key = re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:PRIVATE KEY-----|\Z)", re.DOTALL)


def full(path: bytes, query: bytes) -> bytes:
    """Path and query as sent."""
    return (path + query)[:MAX_LOGGED]


def redacted(path: bytes, query: bytes) -> bytes:
    """
    Path and query with the query's values replaced, and tokens in the path: ``/x?token=*&page=*&debug&*``.

    What has no value is kept where it is a short word, such as a switch.

    :param query: with its ``?``, or empty.
    """
    if b"eyJ" in path or len(path) > MAX_LOGGED:
        path = path_only(path, query)
    if query:
        return (path + _nameless.sub(b"*", _value.sub(b"=*", query[:MAX_LOGGED])))[:MAX_LOGGED]
    return path


def path_only(path: bytes, query: bytes) -> bytes:
    """Without the query, and without tokens in the path."""
    path = path[:MAX_LOGGED]
    return path if path.find(b"eyJ") < 0 else _jwt.sub(b"*", path)


def secret_fields(fields: Iterable[Field]) -> list[Field]:
    """Fields with ``*`` for the values of :data:`SECRET_FIELDS`, and for credentials in others."""
    return [
        (
            name,
            b"*" if name.lower() in SECRET_FIELDS else credentials(value.decode("latin-1")).encode("latin-1"),
        )
        for name, value in fields
    ]


def credentials(text: str) -> str:
    """
    Text with ``*`` for what looks like a token, in an error's words or a traceback.

    Found are: Bearer and other schemes of Authorization with what follows, JSON web tokens, passwords in URLs.
    """
    return _credentials.sub(lambda match: f"{match[1]} *" if match[1] else f"{match[2] or ''}*", text)


def is_secret(name: str) -> bool:
    """Whether the name of a field says that its value lets others in: a password, a token, a key, a cookie."""
    return _secret_name(name) is not None


def log_text(text: str) -> str:
    """
    What may be logged of a text that is known by nothing but its form.

    Besides what :func:`credentials` finds, replaced are: what follows the name of a secret, the queries of URLs,
    private keys in PEM form.
    """
    text = _private_key.sub("*", text)
    text = credentials(text)
    text = _url_query.sub(r"\1*", text)
    return _named.sub(_starred, text)


def _starred(match: re.Match[str]) -> str:
    opened = match[3] or match[4] or ""
    return f"{match[1]}{opened}*{opened[-1:]}"
