"""An authority of the tests' own, and certificates by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

DAY = timedelta(days=1)


class Authority:
    """
    :param name: its common name.
    :param parent: who has signed it; itself where there is none.

    :ivar chain: PEM: its certificate, and those of the authorities above but the last.
    """

    def __init__(self, name: str, parent: Authority | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        above = parent or self
        builder = _builder(self._name, above._name, self._key.public_key(), 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(above._key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM)
        self.chain: bytes = b"" if parent is None else self.pem + parent.chain

    def issue(self, *names: str, subject: str = "", lasts: timedelta = 30 * DAY, client: bool = False) -> bytes:
        """
        :param names: for TLS servers.
        :param lasts: from now on; negative for one that has expired.
        :return: PEM: key, certificate and chain.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        common = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject or names[0])])
        builder = _builder(common, self._name, key.public_key(), lasts)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        use = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + signed.public_bytes(Encoding.PEM) + self.chain


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(min(now, now + lasts) - DAY).not_valid_after(now + lasts)


def stapled(authority: Authority, pem: bytes, lasts: timedelta = DAY, revoked: bool = False) -> bytes:
    """What ``authority`` says of the first certificate in ``pem``: an OCSP response in DER form."""
    now = datetime.now(timezone.utc)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_pem_x509_certificates(pem)[0],
        issuer=authority.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        this_update=now - 2 * DAY,
        next_update=now + lasts,
        revocation_time=now - DAY if revoked else None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.DER)


def write(path: Path, *parts: bytes) -> str:
    path.write_bytes(b"".join(parts))
    return str(path)


def without_key(pem: bytes) -> bytes:
    """The certificates alone."""
    return pem[pem.index(b"-----BEGIN CERTIFICATE") :]


def key_of(pem: bytes) -> bytes:
    return pem[: pem.index(b"-----BEGIN CERTIFICATE")]


def serials(pem: bytes) -> Sequence[int]:
    return [one.serial_number for one in x509.load_pem_x509_certificates(pem)]
