"""What [discovery] takes, and what it means for services."""

from __future__ import annotations

import pytest

from apigw.config import ConfigErrors
from apigw.config.discovering import ACCOUNT, NAME_SERVERS
from apigw.config.kind import RowError
from apigw.config.loader import loads
from tests.examples import ini_examples

REGISTRY = "[discovery]\nurl = http://system/api/discovery/services\n"


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        loads(text, "f", environ or {})
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:8600", ("10.0.0.2", 8600)),
        ("FD00::0:2", ("fd00::2", 53)),
        ("[fd00::2]", ("fd00::2", 53)),
        ("[fd00::2]:8600", ("fd00::2", 8600)),
    ],
)
def test_name_servers(text, server):
    assert NAME_SERVERS.parse(text) == (server,)
    assert NAME_SERVERS.parse(NAME_SERVERS.render((server,))) == (server,)


@pytest.mark.parametrize(
    "text", ["dns.example", "10.0.0", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0.2:", "[10.0.0.2", ""]
)
def test_what_is_no_name_server(text):
    with pytest.raises((RowError, ValueError)):
        NAME_SERVERS.parse(text)


def test_the_defaults():
    discovery = loads("[service:user]\nurls = http://a\n", "f", {}).discovery
    assert discovery.url is None
    assert discovery.interval == 45.0
    assert discovery.dns_servers == ()
    assert discovery.dns_ttl == (5.0, 60.0)
    assert discovery.kubernetes.api == "https://kubernetes.default.svc"
    assert discovery.kubernetes.token_file == f"{ACCOUNT}/token"
    assert discovery.kubernetes.ca == f"{ACCOUNT}/ca.crt"


def test_all_of_it():
    text = (
        "[discovery]\nurl = https://r/s\ninterval = 5s\ndns_servers = 10.0.0.2, [fd00::2]:8600\ndns_ttl = 1s..30s\n"
        "kubernetes.api = http://127.0.0.1:8001/\nkubernetes.token_file = /t\nkubernetes.ca = /c\n"
    )
    discovery = loads(text, "f", {}).discovery
    assert (discovery.url, discovery.interval) == ("https://r/s", 5.0)
    assert discovery.dns_servers == (("10.0.0.2", 53), ("fd00::2", 8600))
    assert discovery.dns_ttl == (1.0, 30.0)
    assert discovery.kubernetes.api == "http://127.0.0.1:8001"


@pytest.mark.parametrize("api", ["kubernetes", "https://a?b", "https://me:secret@a"])
def test_what_is_no_api_server(api):
    [problem] = problems(f"[discovery]\nkubernetes.api = {api}\n")
    assert problem.startswith("f:2: [discovery] kubernetes.api: ")


def test_services_without_addresses_have_those_of_the_registry():
    config = loads(f"{REGISTRY}[service:user]\nmax_queue = 5\n[service:ai]\nurls = http://a:1\n", "f", {})
    assert [[peer.url for peer in service.urls] for service in config.services] == [["registry:user"], ["http://a:1"]]
    assert config.origins["service:user", "urls"] == config.origins["discovery", "url"]


@pytest.mark.parametrize(
    "environ",
    [{"USER_SERVICE_URL": "http://b:2"}, {"APIGW__SERVICE_USER__URLS": "http://b:2"}],
    ids=["founding", "own"],
)
def test_the_environment_comes_before_the_registry(environ):
    config = loads(f"{REGISTRY}[service:user]\nmax_queue = 5\n", "f", environ)
    assert [peer.url for peer in config.services[0].urls] == ["http://b:2"]


def test_addresses_that_are_wrong_are_not_replaced_by_the_registry():
    assert problems(f"{REGISTRY}[service:user]\nurls = ${{NOTHING}}\n")
    assert problems(f"{REGISTRY}[service:user]\nurls = htp://a\n")


def test_the_registry_has_to_be_somewhere():
    assert problems("[service:user]\nurls = http://a, registry:user\nbackup_urls = registry:old\n") == [
        "f:2: [service:user] urls: 'registry:user' needs url in [discovery]",
        "f:3: [service:user] backup_urls: 'registry:old' needs url in [discovery]",
    ]


def test_a_registry_that_is_wrong_is_told_once():
    [problem] = problems("[discovery]\nurl = registry\n[service:user]\nurls = registry:user\n")
    assert problem.startswith("f:2: [discovery] url: 'registry' is not a URL")


def test_the_example_of_the_documentation():
    [text] = ini_examples("stages/discovery.md")
    config = loads(text, "f", {})
    assert [peer.url for service in config.services for peer in service.urls] == [
        "http://user.internal:9001",
        "srv+http://_music._tcp.internal",
        "kubernetes://shop/ai:http",
        "registry:mail",
    ]


def test_the_token_of_kubernetes_is_not_sent_in_clear_text():
    for api in ("http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost:8001", "https://api.example"):
        assert loads(f"[discovery]\nkubernetes.api = {api}\n[service:user]\nurls = http://a\n", "f", {})
    [problem] = problems("[discovery]\nkubernetes.api = http://api.example\n[service:user]\nurls = http://a\n")
    assert problem.endswith("'http://api.example' would have the token sent in clear text, write https")
