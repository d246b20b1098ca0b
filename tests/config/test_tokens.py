"""What is said of issuers, keys and secrets that can't work, and that nothing of a secret is said."""

from pathlib import Path

import pytest

from apigw.config.display import show
from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors
from tests.examples import ini_examples
from tests.tokens import SECRET, jwk, key_set, public_pem

SERVICE = "[service:user]\nurls = http://a\n[route:users]\npath = /\nservice = user\n"
STRONG = SECRET.decode()


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        loads(SERVICE + text, "f", environ or {})
    return [line.partition(": ")[2] for line in str(caught.value).split("\n")]


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem("p256"))
    return path


def test_the_founding_variables_are_enough() -> None:
    config = loads(SERVICE + "auth = required\n", "f", {"JWT_SECRET": STRONG, "INTERNAL_SERVICE_SECRET": "s" * 32})
    assert config.jwt is not None and config.identity is not None
    assert config.jwt.keys()[0].algorithms == {"HS256", "HS384", "HS512"}
    assert config.identity.secret == b"s" * 32
    shown = show(config)
    assert STRONG not in shown and "s" * 32 not in shown and repr(config).find(STRONG) < 0
    config = loads(SERVICE + "[identity]\nsign = none\n", "f", {"INTERNAL_SERVICE_SECRET": "s" * 32})
    assert config.identity is not None and config.identity.secret == b""


def test_the_founding_secret_gives_way(pem: Path) -> None:
    config = loads(SERVICE + f"[jwt]\npublic_key_file = {pem}\n", "f", {"JWT_SECRET": STRONG})
    assert config.jwt is not None
    assert config.jwt.sources == ["public_key_file"]
    assert config.jwt.keys()[0].algorithms == {"ES256"}


def test_nobody_issues_tokens() -> None:
    assert problems("auth = required\n") == [
        "[route:users] auth: required needs to know who issues tokens, add [jwt] or [api_keys]"
    ]
    assert "[jwt] jwks_url: is missing" in problems("auth = optional\n[jwt]\nleeway = 1s\n")[0]
    assert problems("roles = admin\n") == ["[route:users] roles: needs auth = required, add that"]


def test_weak_secrets() -> None:
    for secret in ("hunter2", "h" * 31):
        [problem] = problems("", {"JWT_SECRET": secret})
        assert problem.startswith(f"[jwt] secret_env: the key is {len(secret)} bytes long and could be guessed")
        assert secret not in problem
        [problem] = problems("[jwt]\nsecret_env = MINE\n", {"MINE": secret})
        assert secret not in problem
    [problem] = problems("", {"INTERNAL_SERVICE_SECRET": "hunter2"})
    assert problem.startswith("[identity] secret_env: the secret has 7 bytes")
    [problem] = problems("[jwt]\nsecret_env = MINE\nalgorithms = HS512\n", {"MINE": "h" * 40})
    assert "HS512 can't be used with the key of secret_env, which is good for HS256" in problem


def test_keys_and_algorithms_that_do_not_go_together(pem: Path, tmp_path: Path) -> None:
    [problem] = problems(f"[jwt]\npublic_key_file = {pem}\nalgorithms = ES256, HS256\n")
    assert "HS256 can't be used with the key of public_key_file, which is good for ES256" in problem
    [problem] = problems("[jwt]\njwks_url = https://a/keys\nalgorithms = RS256, HS256\n")
    assert "HS256 needs a secret" in problem
    [problem] = problems("[jwt]\njwks_url = https://a/keys\nalgorithms = none\n")
    assert problem.startswith("[jwt] algorithms: 'none' is not HS256")
    [problem] = problems(f"[jwt]\npublic_key_file = {pem}\njwks_url = https://a/keys\n")
    assert problem == "[jwt] public_key_file: jwks_url is there too, keep one of the two"
    secret = tmp_path / "secret"
    secret.write_bytes(public_pem("rsa"))
    [problem] = problems(f"[jwt]\nsecret_file = {secret}\n")
    assert "is a key in PEM form" in problem


def test_files_that_hold_no_keys(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"{}")
    assert "is no key set" in problems(f"[jwt]\njwks_file = {file}\n")[0]
    assert "holds no public key" in problems(f"[jwt]\npublic_key_file = {file}\n")[0]
    assert "can't be read" in problems(f"[jwt]\njwks_file = {file}x\n")[0]
    file.write_bytes(key_set(jwk("rsa", "a")))
    config = loads(f"[jwt]\njwks_file = {file}\n", "f", {})
    assert config.jwt is not None and config.jwt.keys()[0].kid == "a"


def test_issuers_side_by_side(pem: Path) -> None:
    both = f"[jwt]\njwks_url = https://a/k\n{{}}[issuer:b]\npublic_key_file = {pem}\n{{}}"
    config = loads(both.format("issuer = a\n", "issuer = b\n"), "f", {})
    assert [issuer.issuer for issuer in config.issuers] == ["b"]
    assert problems(both.format("issuer = a\n", ""))[0].startswith("[issuer:b] issuer: is missing")
    assert "is that of [jwt]" in problems(both.format("issuer = a\n", "issuer = a\n"))[0]
    assert problems("[jwt]\njwks_url = https://a/k\n[issuer:b]\nissuer = b\n")[0].startswith("[issuer:b] jwks_url")


@pytest.mark.parametrize("url", ["a/keys", "ftp://a/k", "https://", "https://u:p@a/k", "https://a/k#x", "https://a:x/"])
def test_urls_that_are_none(url: str) -> None:
    [problem] = problems(f"[jwt]\njwks_url = {url}\n")
    assert "u:p" not in problem


def test_a_token_in_the_query_and_all_of_it_in_the_log() -> None:
    text = "[gateway]\nlog_query = full\n[jwt]\njwks_url = https://a/k\ntoken.query = t\n"
    assert "[jwt] token.query: would stand in the log" in problems(text)[0]


def test_what_replaces_authorization(tmp_path: Path) -> None:
    def wrong(text: str, **environ: str) -> str:
        with pytest.raises(ConfigErrors) as caught:
            loads("[service:user]\nurls = http://a\n" + text, "f", environ)
        return str(caught.value).partition(": ")[2]

    assert "authorization: replace needs to know by what" in wrong("authorization = replace\n")
    assert "authorization_env: is of no use" in wrong("authorization_env = A\n", A="Basic eA==")
    assert "has no scheme" in wrong("authorization = replace\nauthorization_env = A\n", A="secret-alone")
    assert "secret-alone" not in wrong("authorization = replace\nauthorization_env = A\n", A="secret-alone")
    assert "has no scheme" in wrong("authorization = replace\nauthorization_env = A\n", A="Basic a\nB: c")
    file = tmp_path / "authorization"
    file.write_text("Bearer x")
    both = f"authorization = replace\nauthorization_env = A\nauthorization_file = {file}\n"
    assert "keep one of the two" in wrong(both, A="Basic eA==")


def test_the_example_of_fields() -> None:
    example = ini_examples("stages/jwt.md")[-1]
    config = loads(example, "f", {"BILLING_AUTHORIZATION": "Basic eA=="})
    assert config.identity is not None
    assert [str(field) for field in config.identity.claims] == ["X-User-Email: email", "X-Tenant: org.id"]
    assert "eA==" not in show(config)
