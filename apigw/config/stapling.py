"""What an authority says of a certificate, to be shown with it (OCSP stapling, RFC 6066 section 8): NAME.ocsp."""

from __future__ import annotations

from datetime import datetime, timezone
from math import inf
from pathlib import Path
from typing import Any

from attrs import field, frozen

from apigw.config.files import read

SUFFIX = ".ocsp"


@frozen
class Staple:
    """
    :ivar response: as it is sent.
    :ivar expires: seconds since the epoch, from when on no client would take it.
    """

    response: bytes = field(repr=False)
    expires: float


def load_staple(path: Path, certificate: Any, now: float) -> Staple | None:
    """
    :param path: of the certificate's file.
    :param certificate: of ``cryptography``.
    :param now: seconds since the epoch.
    :return: None where there is no such file.
    :raises ValueError: it is of no use, for a reason that the message tells.
    """
    from cryptography.x509 import ocsp

    file = path.with_suffix(SUFFIX)
    if not file.exists():
        return None
    data = read(file)
    try:
        response = ocsp.load_der_ocsp_response(data)
        successful = response.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
        found = list(response.responses) if successful else []
    except ValueError:
        raise ValueError(f"{file} holds no OCSP response in DER form") from None
    if not successful:
        raise ValueError(f"{file} holds an error of the authority's")
    for single in found:
        if single.serial_number == certificate.serial_number:
            break
    else:
        raise ValueError(f"{file} speaks of another certificate than {path}")
    if single.certificate_status != ocsp.OCSPCertStatus.GOOD:
        raise ValueError(f"{file} says that the certificate in {path} is {single.certificate_status.name.lower()}")
    expires = _instant(single)
    if expires <= now:
        raise ValueError(f"{file} has expired, fetch a new one")
    return Staple(data, expires)


def _instant(single: Any) -> float:
    """The attribute had no time zone before cryptography 43."""
    moment: datetime | None
    if hasattr(single, "next_update_utc"):
        moment = single.next_update_utc
    else:
        moment = None if single.next_update is None else single.next_update.replace(tzinfo=timezone.utc)
    return inf if moment is None else moment.timestamp()
