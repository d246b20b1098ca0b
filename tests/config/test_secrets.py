"""Secrets come from a variable or a file, and nothing prints them; the admin listener's token is one."""

from pathlib import Path

import pytest

from apigw.config.display import show
from apigw.config.loader import loads
from apigw.config.problems import ConfigErrors

TOKEN = "0123456789abcdef-first"


def problem(text: str, **environ: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        loads(text, "gw.ini", environ)
    return str(caught.value)


def test_from_a_variable():
    config = loads("[admin]\ntoken_env = T\n", "gw.ini", {"T": f" {TOKEN}\n"})
    assert config.admin is not None
    assert config.admin.token == TOKEN.encode()


def test_from_a_file(tmp_path: Path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    config = loads(f"[admin]\ntoken_file = {path}\n", "gw.ini", {})
    assert config.admin is not None
    assert config.admin.token == TOKEN.encode()


def test_it_is_never_printed():
    config = loads("[admin]\ntoken_env = T\n", "gw.ini", {"T": TOKEN})
    assert "token_env = T " in show(config)
    assert TOKEN not in show(config)
    assert TOKEN not in repr(config)


def test_no_section_no_listener():
    assert loads("", "gw.ini", {}).admin is None
    assert "[admin]" not in show(loads("", "gw.ini", {}))


def test_the_bare_section_is_on_loopback():
    config = loads("[admin]\n", "gw.ini", {})
    assert config.admin is not None
    assert str(config.admin.endpoint) == "tcp:9900:interface=127.0.0.1"
    assert config.admin.token == b""


@pytest.mark.parametrize(
    "endpoint", ["tcp:9900", "tcp:9900:interface=10.0.0.1", "tcp6:9900", "systemd:domain=INET:index=0"]
)
def test_beyond_loopback_a_token_is_needed(endpoint: str):
    assert "gw.ini:2: [admin] endpoint: " in problem(f"[admin]\nendpoint = {endpoint}\n")
    assert "which needs token_env" in problem(f"[admin]\nendpoint = {endpoint}\n")
    loads(f"[admin]\nendpoint = {endpoint}\ntoken_env = T\n", "gw.ini", {"T": TOKEN})


@pytest.mark.parametrize(
    "endpoint",
    ["tcp:9900:interface=127.1.2.3", r"tcp6:9900:interface=\:\:1", "unix:/run/a.sock", "tcp:1:interface=localhost"],
)
def test_on_this_machine_it_is_not(endpoint: str):
    assert loads(f"[admin]\nendpoint = {endpoint}\n", "gw.ini", {}).admin is not None


def test_what_is_wrong_with_a_token(tmp_path: Path):
    assert "the environment variable T is not set" in problem("[admin]\ntoken_env = T\n")
    assert "the environment variable T is not set" in problem("[admin]\ntoken_env = T\n", T=" ")
    assert "is not the name of an environment variable" in problem("[admin]\ntoken_env = a b\n")
    assert "the token has 5 bytes" in problem("[admin]\ntoken_env = T\n", T="short")
    spaced = problem("[admin]\ntoken_env = T\n", T="with a space in the middle")
    assert "what a bearer token can't" in spaced
    assert "space in the middle" not in spaced
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in problem(f"[admin]\ntoken_file = {tmp_path / 'empty'}\n")
    (tmp_path / "full").write_text(TOKEN)
    assert "keep one of the two" in problem(f"[admin]\ntoken_env = T\ntoken_file = {tmp_path / 'full'}\n", T=TOKEN)


def test_the_listeners_can_not_share_an_address():
    text = "[listener:public]\nendpoint = tcp:9900\n[admin]\n"
    assert "[admin] endpoint: 'tcp:9900:interface=127.0.0.1' is taken by [listener:public]" in problem(text)


def test_readiness_needs_services_that_are_there():
    text = "[gateway]\nready_needs = usr\n[service:user]\nurls = http://127.0.0.1:1\n"
    assert "gw.ini:2: [gateway] ready_needs: there is no [service:usr], did you mean user?" in problem(text)
    assert loads(text.replace("usr", "user"), "gw.ini", {}).gateway.ready_needs == ("user",)


def test_what_readiness_needs_has_its_implied_route_still():
    config = loads("[gateway]\nready_needs = user\n", "gw.ini", {"USER_SERVICE_URL": "http://127.0.0.1:1"})
    assert [route.service for route in config.routes] == ["user"]
