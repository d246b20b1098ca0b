"""
Files that options name: looked at when the configuration is read, so that a missing or unusable one is told then.

A relative path counts from the directory that the gateway is started in, and is made absolute at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from apigw.config.kind import Kind


def absolute(text: str) -> Path:
    return Path(os.path.abspath(text))  # noqa: PTH100 (resolve would follow links)


def read(path: Path) -> bytes:
    """:raises ValueError: it can't be, for a reason that the message tells."""
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise ValueError(f"{path} is a directory, name a file") from None
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{str(path)!r} is not a path") from None


def parse_ca(text: str) -> str:
    """:return: absolute path of a PEM file with at least one certificate."""
    path = absolute(text)
    certificates(path, read(path))
    return str(path)


def certificates(path: Path, pem: bytes) -> list[Any]:
    """:raises ValueError: there is none in the file, or one can't be understood."""
    from cryptography import x509  # takes 50 ms, and few configurations name a certificate

    try:
        return list(x509.load_pem_x509_certificates(pem))
    except ValueError:
        what = "a certificate that can't be understood" if b"BEGIN CERTIFICATE" in pem else "no certificate"
        raise ValueError(f"{path} holds {what}, it must hold certificates in PEM form") from None


def parse_certificate_and_key(text: str) -> str:
    """:return: absolute path of a PEM file with a certificate, its chain, and its key without a password."""
    path = absolute(text)
    pem = read(path)
    first = certificates(path, pem)[0]
    if b"PRIVATE KEY-----" not in pem:
        raise ValueError(f"{path} holds no private key, put it into the file beside the certificate")
    if private_key(path, pem).public_key() != first.public_key():
        raise ValueError(f"{path} holds a key that doesn't fit its first certificate")
    return str(path)


def private_key(path: Path, pem: bytes) -> Any:
    """The first private key in ``pem``. :raises ValueError: there is none that can be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in pem:
        raise ValueError(f"{path} holds no private key in PEM form")
    try:
        return load_pem_private_key(_key_block(pem), None)
    except TypeError:
        raise ValueError(f"{path} has a key with a password, take it away: openssl pkey -in OLD -out NEW") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds a private key that can't be understood, it must be in PEM form") from None


def _key_block(pem: bytes) -> bytes:
    """The key alone, for cryptography reads the first block only."""
    start = pem.rfind(b"-----BEGIN", 0, pem.index(b"PRIVATE KEY-----"))
    end = pem.find(b"PRIVATE KEY-----", pem.find(b"-----END", start))
    return pem[start:] if end < 0 else pem[start : end + len(b"PRIVATE KEY-----")] + b"\n"


CA_FILE: Kind[str] = Kind("PEM file with certificates", parse_ca)
CERTIFICATE_FILE: Kind[str] = Kind("PEM file with a certificate, its chain and its key", parse_certificate_and_key)


def parse_log(text: str) -> str:
    """:return: ``-``, ``syslog``, ``off``, or the absolute path of a file whose directory is there."""
    if text in ("-", "syslog", "off"):
        return text
    path = absolute(text)
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a directory, name a file")
        there = path.exists()
        if not there and not path.parent.is_dir():
            raise ValueError(f"{path.parent} is not a directory, make it first, or write - for standard output")
    except OSError as error:
        raise ValueError(f"{path} can't be written to: {error.strerror}") from None
    if not os.access(path if there else path.parent, os.W_OK):
        raise ValueError(f"{path} can't be written to: Permission denied")
    return str(path)


LOG: Kind[str] = Kind("`-`, `syslog`, `off`, or a path", parse_log)
