"""Files that options name, made by cryptography and openssl's own means."""

import os
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from apigw.config.files import CA_FILE, CERTIFICATE_FILE, LOG


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def pem(key, style=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, style, encryption or NoEncryption())


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY)


@pytest.fixture
def file(tmp_path):
    def write(*parts):
        path = tmp_path / "some.pem"
        path.write_bytes(b"".join(parts))
        return str(path)

    return write


def wrong(kind, text):
    with pytest.raises(ValueError) as caught:
        kind.parse(text)
    return str(caught.value)


def test_authorities(file):
    path = file(CERTIFICATE, certificate(OTHER))
    assert CA_FILE.parse(path) == path


def test_a_certificate_with_its_chain_and_key(file):
    for style in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        for parts in ((CERTIFICATE, certificate(OTHER), pem(KEY, style)), (pem(KEY, style), CERTIFICATE)):
            path = file(*parts)
            assert CERTIFICATE_FILE.parse(path) == path


def test_a_relative_path_counts_from_the_working_directory(file, monkeypatch):
    path = Path(file(CERTIFICATE))
    monkeypatch.chdir(path.parent)
    assert CA_FILE.parse(path.name) == str(path)


@pytest.mark.parametrize("kind", [CA_FILE, CERTIFICATE_FILE])
def test_files_that_cannot_be_read(kind, tmp_path):
    assert wrong(kind, f"{tmp_path}/none.pem") == f"{tmp_path}/none.pem can't be read: No such file or directory"
    assert wrong(kind, str(tmp_path)) == f"{tmp_path} is a directory, name a file"
    assert wrong(kind, "\0").endswith("is not a path")


def test_files_without_a_certificate(file):
    path = file(b"hello")
    for kind in (CA_FILE, CERTIFICATE_FILE):
        assert wrong(kind, path) == f"{path} holds no certificate, it must hold certificates in PEM form"
    path = file(CERTIFICATE.replace(b"\nM", b"\nX", 1))
    assert "holds a certificate that can't be understood" in wrong(CA_FILE, path)


def test_keys_that_do_not_do(file):
    path = file(CERTIFICATE)
    assert wrong(CERTIFICATE_FILE, path) == (
        f"{path} holds no private key, put it into the file beside the certificate"
    )
    assert "doesn't fit its first certificate" in wrong(CERTIFICATE_FILE, file(CERTIFICATE, pem(OTHER)))
    locked = pem(KEY, encryption=BestAvailableEncryption(b"secret"))
    assert "has a key with a password" in wrong(CERTIFICATE_FILE, file(CERTIFICATE, locked))
    broken = pem(KEY).replace(b"\nM", b"\nX", 1)
    assert "holds a private key that can't be understood" in wrong(CERTIFICATE_FILE, file(CERTIFICATE, broken))
    assert "can't be understood" in wrong(CERTIFICATE_FILE, file(CERTIFICATE, b"-----BEGIN PRIVATE KEY-----"))


def test_logs(tmp_path, monkeypatch):
    for word in ("-", "syslog", "off"):
        assert LOG.parse(word) == word
    monkeypatch.chdir(tmp_path)
    assert LOG.parse("access.log") == str(tmp_path / "access.log")
    assert not (tmp_path / "access.log").exists()


def test_logs_that_cannot_be_written(tmp_path):
    assert wrong(LOG, str(tmp_path)) == f"{tmp_path} is a directory, name a file"
    assert wrong(LOG, f"{tmp_path}/none/a.log") == (
        f"{tmp_path}/none is not a directory, make it first, or write - for standard output"
    )
    assert wrong(LOG, f"{tmp_path}/{'x' * 300}").endswith("can't be written to: File name too long")


@contextmanager
def anybody():
    """Root, who may do anything, is somebody else meanwhile."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_files_without_permission():
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)  # tmp_path is in one that others may not enter
        path = Path(directory) / "some.pem"
        path.write_bytes(CERTIFICATE)
        path.chmod(0)
        with anybody():
            assert wrong(CA_FILE, str(path)) == f"{path} can't be read: Permission denied"
            assert wrong(LOG, str(path)) == f"{path} can't be written to: Permission denied"
