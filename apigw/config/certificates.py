"""
Certificates that listeners show, with their keys: which files there are, and what they hold.

A file holds a certificate, its chain and its key; or NAME.crt holds the certificate and its chain, NAME.key the key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from glob import glob, has_magic
from itertools import pairwise
from pathlib import Path
from time import time
from typing import Any

from attrs import field, frozen

from apigw.config.files import absolute, certificates, private_key, read
from apigw.config.kind import Kind, list_of
from apigw.config.stapling import SUFFIX

KEY = ".key"


@frozen(eq=False)
class KeyPair:
    """
    A certificate that can be shown, for it has its key.

    :ivar path: of the file with the certificate.
    :ivar names: that it is for, in lower case and ASCII; ``*.example.com`` is any one label before ``.example.com``.
    :ivar chain: ``cryptography`` certificates, its own first.
    :ivar key: private key of ``cryptography``.
    :ivar expires: seconds since the epoch.
    """

    path: str
    names: tuple[str, ...]
    chain: tuple[Any, ...] = field(repr=False)
    key: Any = field(repr=False)
    expires: float


@frozen
class CertificateFiles:
    """:ivar patterns: absolute paths, with ``*`` and its like in them or not."""

    patterns: tuple[str, ...]

    def paths(self) -> list[Path]:
        """
        The files that there are now: in the order of the patterns, those of one pattern by name.

        :raises ValueError: a pattern fits none.
        """
        found: dict[Path, None] = {}
        for pattern in self.patterns:
            if not has_magic(pattern):
                found[Path(pattern)] = None
                continue
            fitting = [Path(path) for path in sorted(glob(pattern)) if not path.endswith((KEY, SUFFIX))]  # noqa: PTH207 (absolute)
            if not fitting:
                raise ValueError(f"no file fits {pattern}")
            found.update(dict.fromkeys(fitting))
        return list(found)

    def load(self) -> list[KeyPair]:
        """:raises ValueError: one of them can't be used, for a reason that the message tells."""
        return [load_pair(path) for path in self.paths()]

    def __str__(self) -> str:
        return ", ".join(self.patterns)


def stamp(path: Path) -> tuple[Any, ...]:
    """Differs when the file, its key or what is stapled to it was written or replaced; cheap."""
    return tuple(_stat(file) for file in (path, path.with_suffix(KEY), path.with_suffix(SUFFIX)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (half the price, and it is asked every few seconds)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def load_pair(path: Path) -> KeyPair:
    """:raises ValueError: the file can't be used, for a reason that the message tells."""
    pem = read(path)
    chain = certificates(path, pem)
    first = chain[0]
    where = path
    if b"PRIVATE KEY-----" not in pem:
        where = path.with_suffix(KEY)
        if not where.exists():
            raise ValueError(
                f"{path} holds no private key, put it into the file beside the certificate or into {where}"
            )
        pem = read(where)
    key = private_key(where, pem)
    if key.public_key() != first.public_key():
        file = "it" if where == path else str(where)
        raise ValueError(f"{path} begins with a certificate that the key in {file} doesn't fit")
    _orderly(path, chain)
    expires = _instant(first, "not_valid_after")
    now = time()
    if expires <= now:
        raise ValueError(f"{path} holds a certificate that expired on {_day(expires)}, renew it")
    begins = _instant(first, "not_valid_before")
    if begins > now:
        raise ValueError(f"{path} holds a certificate that is not valid before {_day(begins)}, check it and the clock")
    return KeyPair(str(path), tuple(_names(first)), tuple(chain), key, expires)


def _orderly(path: Path, chain: Sequence[Any]) -> None:
    """Each signed by the next, as TLS 1.2 wants it (RFC 5246 section 7.4.2), without which some clients trust none."""
    for one, other in pairwise(chain):
        if one.issuer != other.subject:
            issuer, subject = one.issuer.rfc4514_string(), other.subject.rfc4514_string()
            raise ValueError(f"{path} has {subject!r} where its chain should go on with {issuer!r}")


def _instant(certificate: Any, attribute: str) -> float:
    """The attribute had no time zone before cryptography 42."""
    aware = getattr(certificate, f"{attribute}_utc", None)
    moment: datetime = aware or getattr(certificate, attribute).replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def _names(certificate: Any) -> Iterator[str]:
    """Its DNS names; the common name counts only where there is no other (RFC 6125 section 6.4.4)."""
    from cryptography import x509

    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
            yield str(name.value).lower()
    else:
        for name in alternative.get_values_for_type(x509.DNSName):
            yield name.lower().rstrip(".")


def _parse_pattern(text: str) -> str:
    return str(absolute(text))


_PATTERNS = list_of(Kind("path", _parse_pattern), "paths")


def parse_certificates(text: str) -> CertificateFiles:
    """The files are looked at too. :raises ValueError: one of them can't be used."""
    files = CertificateFiles(_PATTERNS.parse(text))
    files.load()
    return files


CERTIFICATES: Kind[CertificateFiles] = Kind(
    "paths of PEM files, with `*` for any part of a name, by comma or by line", parse_certificates, lines=True
)
