"""OCSP responses beside certificates: which are of use."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from apigw.config.stapling import load_staple
from tests.authority import DAY, Authority, stapled, write

NOW = datetime.now(timezone.utc).timestamp()


def certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem)[0]


def test_a_good_one(tmp_path: Path) -> None:
    authority = Authority("root")
    pem = authority.issue("a.test")
    path = tmp_path / "a.pem"
    assert load_staple(path, certificate(pem), NOW) is None
    response = stapled(authority, pem)
    write(tmp_path / "a.ocsp", response)
    staple = load_staple(path, certificate(pem), NOW)
    assert staple is not None
    assert staple.response == response
    assert abs(staple.expires - NOW - DAY.total_seconds()) < 3600


def test_those_of_no_use(tmp_path: Path) -> None:
    authority = Authority("root")
    pem, other = authority.issue("a.test"), authority.issue("a.test")
    path = tmp_path / "a.pem"
    error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    for data, says in (
        (b"rubbish", "no OCSP response in DER form"),
        (stapled(authority, pem, lasts=-timedelta(hours=1)), "has expired"),
        (stapled(authority, other), "another certificate"),
        (stapled(authority, pem, revoked=True), "is revoked"),
        (error.public_bytes(Encoding.DER), "an error of the authority's"),
    ):
        write(tmp_path / "a.ocsp", data)
        with pytest.raises(ValueError, match=says):
            load_staple(path, certificate(pem), NOW)
