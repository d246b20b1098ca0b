"""Certificates in use: which of the files they are, while those change."""

import os
from datetime import timedelta

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from apigw.config.certificates import CERTIFICATES
from apigw.policy.client_auth import ClientAuth, ClientAuths
from apigw.web.tls import LOOK_EVERY, Certificates
from tests.authority import Authority, serials, write

NONE = ClientAuths()
ROOT = Authority("root")


@pytest.fixture
def told():
    """What was logged, as format and values."""
    events = []
    globalLogPublisher.addObserver(events.append)
    yield lambda: [event["log_format"].format(**event) for event in events]
    globalLogPublisher.removeObserver(events.append)


@pytest.fixture
def use(tmp_path):
    def make(auths=NONE, **files):
        for name, pem in files.items():
            write(tmp_path / f"{name}.pem", pem)
        return Certificates("secure", CERTIFICATES.parse(str(tmp_path / "[a-z].pem")), auths)

    return make


def used(certificates):
    """Names of the files in use."""
    return [path[-5] for path in certificates.expiries]


def test_files_are_looked_at_now_and_then(use, tmp_path, told):
    clock = Clock()
    certificates = use(a=ROOT.issue("a.test"))
    certificates.watch(clock)
    before = certificates.expiries
    write(tmp_path / "a.pem", ROOT.issue("a.test", lasts=timedelta(days=60)))
    clock.advance(LOOK_EVERY - 1.0)
    assert certificates.expiries == before
    clock.advance(1.0)
    assert certificates.expiries != before
    assert told() == [f"[listener:secure] certificates: {tmp_path}/a.pem"]
    clock.advance(LOOK_EVERY)
    assert len(told()) == 1
    certificates.unwatch()
    assert not clock.getDelayedCalls()


def test_what_cannot_be_used_is_told_once_and_the_old_one_kept(use, tmp_path, told):
    certificates = use(a=ROOT.issue("a.test"), b=ROOT.issue("b.test"))
    before = certificates.expiries
    write(tmp_path / "a.pem", b"rubbish")
    for _ in range(3):
        certificates.reload()
    assert certificates.expiries == before
    assert told() == [
        f"[listener:secure] not taken: {tmp_path}/a.pem holds no certificate, it must hold certificates in PEM form"
    ]
    new = ROOT.issue("a.test", lasts=timedelta(days=60))
    write(tmp_path / "a.pem", new)
    certificates.reload()
    assert used(certificates) == ["a", "b"]
    assert certificates.expiries != before


def test_files_come_and_go(use, tmp_path, told):
    certificates = use(b=ROOT.issue("b.test"))
    write(tmp_path / "a.pem", ROOT.issue("a.test"))
    certificates.reload()
    assert used(certificates) == ["a", "b"]
    (tmp_path / "b.pem").unlink()
    certificates.reload()
    assert used(certificates) == ["a"]
    (tmp_path / "a.pem").unlink()
    certificates.reload()
    certificates.reload()
    assert used(certificates) == ["a"]
    assert told()[-1] == f"[listener:secure] not taken: no file fits {tmp_path}/[a-z].pem"
    assert len(told()) == 3


def test_authorities_are_read_again(use, tmp_path, told):
    path = tmp_path / "clients.pem"
    write(path, ROOT.pem)
    auth = ClientAuth("required", str(path))
    certificates = use(ClientAuths(auth), a=ROOT.issue("a.test"))

    def asked():
        return [one.certificates[0].serial_number for one in certificates._found.authorities.values()]

    other = Authority("other")
    write(path, other.pem)
    os.utime(path, (1, 1))
    certificates.reload()
    assert asked() == serials(other.pem)
    write(path, b"rubbish")
    certificates.reload()
    assert asked() == serials(other.pem)
    assert "clients.pem holds no certificate" in told()[-1]


def test_a_certificate_that_is_about_to_expire(use, told, tmp_path):
    certificates = use(a=ROOT.issue("a.test", lasts=timedelta(days=13, hours=23)), b=ROOT.issue("b.test"))
    line = f"[listener:secure] the certificate in {tmp_path}/a.pem expires in 13 days"
    assert told() == [line]
    certificates.reload()
    assert told() == [line]
