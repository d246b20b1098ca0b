"""What the documentation shows of revocations; the resource itself is held to a running gateway in tests/wire."""

from apigw.config.loader import loads
from tests.examples import ini_examples
from tests.tokens import SECRET


def test_the_example() -> None:
    [example] = ini_examples("operations/revocation.md")
    environ = {"JWT_SECRET": SECRET.decode(), "APIGW_ADMIN_TOKEN": "0123456789abcdef0123"}
    config = loads("[service:user]\nurls = http://a\n" + example, "f", environ)
    assert (config.revocation.entries, config.revocation.keep) == (100_000, 86400.0)
