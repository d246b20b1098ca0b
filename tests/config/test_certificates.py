"""Certificates of listeners, made by an authority of the tests' own."""

import os
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from apigw.config.certificates import CERTIFICATES, load_pair, stamp
from tests.authority import Authority, key_of, serials, without_key, write

ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)
ONE = MIDDLE.issue("One.test", "*.one.test")
TWO = ROOT.issue("two.test")


def wrong(text):
    with pytest.raises(ValueError) as caught:
        CERTIFICATES.parse(str(text))
    return str(caught.value)


def test_key_and_chain_in_one_file(tmp_path):
    path = tmp_path / "one.pem"
    write(path, ONE)
    pair = load_pair(path)
    assert pair.names == ("one.test", "*.one.test")
    assert [one.serial_number for one in pair.chain] == serials(ONE)
    assert len(pair.chain) == 2
    assert pair.path == str(path)


def test_key_in_a_file_of_its_own(tmp_path):
    write(tmp_path / "one.crt", without_key(ONE))
    write(tmp_path / "one.key", key_of(ONE))
    write(tmp_path / "two.pem", TWO)
    for pattern in ("*.crt", "o*", "one.crt"):
        [pair] = CERTIFICATES.parse(str(tmp_path / pattern)).load()
        assert pair.names == ("one.test", "*.one.test")


def test_order(tmp_path):
    for name in ("b", "a", "z"):
        write(tmp_path / f"{name}.pem", ROOT.issue(f"{name}.test"))
    files = CERTIFICATES.parse(f"{tmp_path}/z.pem, {tmp_path}/*.pem")
    assert [pair.names[0] for pair in files.load()] == ["z.test", "a.test", "b.test"]
    assert CERTIFICATES.parse(CERTIFICATES.render(files)) == files


def test_common_name_where_there_is_no_other(tmp_path):
    path = tmp_path / "some.pem"
    write(path, ROOT.issue(subject="Old.test"))
    assert load_pair(path).names == ("old.test",)


def test_what_cannot_be_used(tmp_path):
    path = tmp_path / "some.pem"
    assert wrong(path) == f"{path} can't be read: No such file or directory"
    assert wrong(tmp_path / "*.pem") == f"no file fits {tmp_path}/*.pem"
    write(path, b"rubbish")
    assert wrong(path).startswith(f"{path} holds no certificate")
    write(path, without_key(ONE))
    assert (
        wrong(path)
        == f"{path} holds no private key, put it into the file beside the certificate or into {tmp_path}/some.key"
    )
    write(path.with_suffix(".key"), b"rubbish")
    assert wrong(path) == f"{tmp_path}/some.key holds no private key in PEM form"
    write(path.with_suffix(".key"), key_of(TWO))
    assert wrong(path) == f"{path} begins with a certificate that the key in {tmp_path}/some.key doesn't fit"
    write(path, key_of(TWO), without_key(ONE))
    assert wrong(path) == f"{path} begins with a certificate that the key in it doesn't fit"


def test_a_chain_out_of_order(tmp_path):
    path = tmp_path / "some.pem"
    write(path, ONE, TWO)
    assert wrong(path) == f"{path} has 'CN=two.test' where its chain should go on with 'CN=root'"


def test_another_kind_of_key(tmp_path):
    path = tmp_path / "some.pem"
    other = ed25519.Ed25519PrivateKey.generate()
    write(path, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), without_key(ONE))
    assert "doesn't fit" in wrong(path)


def test_time(tmp_path):
    path = tmp_path / "some.pem"
    write(path, ROOT.issue("a.test", lasts=timedelta(days=-1)))
    assert "holds a certificate that expired on 2" in wrong(path)
    assert wrong(path).endswith(", renew it")


def test_stamps(tmp_path):
    path = tmp_path / "some.crt"
    absent = stamp(path)
    write(path, b"a")
    first = stamp(path)
    assert first != absent
    assert stamp(path) == first
    os.utime(path, (1, 1))
    second = stamp(path)
    assert second != first
    write(tmp_path / "some.key", b"a")
    assert stamp(path) != second
