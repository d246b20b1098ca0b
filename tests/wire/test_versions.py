"""Versions of an API through a real gateway."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from signal import SIGHUP

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.wire.gateway import Gateway
from tests.wire.scripted import Question, Reply, Scripted, fetch, scripted

INI = """\
[gateway]
access_log = off
workers = {workers}
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[admin]
endpoint = tcp:0:interface=127.0.0.1
[cors]
origins = https://app.test
[service:new]
urls = http://127.0.0.1:{new}
[service:old]
urls = http://127.0.0.1:{old}
[versioning]
sources = path, header:Accept-Version, media-type
default = 2
versions = 4
1.deprecated = 2026-01-01
1.sunset = 2999-12-31
1.link = https://a.test/two
0.sunset = 2026-01-01
3.sunset = 2999-12-31
3.brownouts = {now}/1h
contract.field = X-Contract-Version
contract.versions = 1.4
[route:users]
path = /users
service = new
[route:users-old]
path = /users
version = 1
service = old
rewrite = /legacy
[route:only-old]
path = /only
version = 1
methods = DELETE
service = old
[route:by-path]
path = /v1/users
service = old
[route:files]
path = /files
version = none
service = new
[route:v]
path = /v0
service = old
"""


def say(asked: Question) -> Reply:
    return Reply(
        200, asked.target.encode(), {"Deprecation": "?1", "Link": "<https://b.test>; rel=next", "Vary": "Range"}
    )


def ini(new: Scripted, old: Scripted, workers: int = 1) -> str:
    now = datetime.now(timezone.utc) - timedelta(minutes=1)
    return INI.format(new=new.port, old=old.port, workers=workers, now=f"{now:%Y-%m-%dT%H:%MZ}")


def code(answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


def test_requests_go_by_their_version(tmp_path: Path) -> None:
    with scripted(say) as new, scripted(say) as old, Gateway(tmp_path, ini(new, old), listeners=2) as gateway:
        port = gateway.ports["public"]

        # By field, by media type, by path, by nothing.
        answer = fetch(port, "/users/7", Accept_Version="1", X_Api_Version="9")
        assert answer.body == b"/legacy/7"
        assert old.asked[-1].fields["x-api-version"] == "1"
        assert answer.text("Deprecation") == "@1767225600"
        assert answer.text("Sunset") == "Tue, 31 Dec 2999 00:00:00 GMT"
        assert answer.all(b"Link") == [
            b"<https://b.test>; rel=next",
            b'<https://a.test/two>; rel="deprecation"',
            b'<https://a.test/two>; rel="sunset"',
        ]
        assert b"Accept-Version, Accept" in answer.all(b"Vary")
        assert fetch(port, "/users", Accept="application/vnd.acme.v1+json").body == b"/legacy"
        assert fetch(port, "/v1/users").body == b"/v1/users"
        assert old.asked[-1].fields["x-api-version"] == "1"
        answer = fetch(port, "/users")
        assert new.asked[-1].fields["x-api-version"] == "2"
        assert (answer.text("Deprecation"), answer.all(b"Sunset")) == ("?1", [])

        # What there is not.
        missing = fetch(port, "/v9/users")
        assert code(missing) == (404, "version-unknown")
        assert "There are: 0, 1, 2, 3, 4." in json.loads(missing.body)["detail"]
        assert code(fetch(port, "/users", Accept_Version="9")) == (400, "version-unknown")
        assert code(fetch(port, "/users", Accept_Version="one two")) == (400, "version-malformed")
        assert code(fetch(port, "/only", "DELETE")) == (404, "route-not-found")
        assert fetch(port, "/only", "DELETE", Accept_Version="1").status == 200

        # A route that takes no part.
        answer = fetch(port, "/files/v9", Accept_Version="9")
        assert (answer.status, answer.all(b"Sunset")) == (200, [])
        assert "x-api-version" not in new.asked[-1].fields

        # The end, and a foretaste of it.
        gone = fetch(port, "/v0/x")
        assert code(gone) == (410, "version-gone")
        assert gone.text("Sunset") == "Thu, 01 Jan 2026 00:00:00 GMT"
        brown = fetch(port, "/users", Accept_Version="3")
        assert code(brown) == (503, "version-brownout")
        assert 3000 < int(brown.text("Retry-After")) < 3600

        # A browser's preflight can't name the version in a field.
        leave = {"Origin": "https://app.test", "Access_Control_Request_Method": "DELETE"}
        assert fetch(port, "/only", "OPTIONS", **leave).text("Access-Control-Allow-Origin") == "https://app.test"

        # The contract.
        assert code(fetch(port, "/users", X_Contract_Version="1.3")) == (400, "contract-version")
        assert fetch(port, "/users", X_Contract_Version="1.4").status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_operators_see_who_still_calls_old_versions(tmp_path: Path, workers: int) -> None:
    with scripted(say) as new, scripted(say) as old:
        text = ini(new, old, workers)
        with Gateway(tmp_path, text, listeners=2) as gateway:
            port, admin = gateway.ports["public"], gateway.ports["admin"]
            if workers > 1:
                gateway.wait(lambda: sum("is ready, process" in line for line in gateway.output) == workers)
            for _ in range(3):
                assert fetch(port, "/users", Accept_Version="1", User_Agent="old/1").status == 200
            assert fetch(port, "/users").status == 200
            gateway.signal(SIGHUP)
            gateway.wait(lambda: any("reloaded in" in line for line in gateway.output))
            assert fetch(port, "/v1/users", User_Agent="old/2").status == 200

            told = json.loads(fetch(admin, "/api/versions", Host="localhost").body)["versions"]
            assert [(one["version"], one["state"], one["requests"]) for one in told] == [
                ("0", "gone", 0),
                ("1", "deprecated", 4),
                ("2", "served", 1),
                ("3", "brown-out", 0),
                ("4", "served", 0),
            ]
            [caller] = told[1]["callers"]
            assert (caller["who"], caller["requests"]) == ("ip 127.0.0.1", 4)
            assert told[1]["first"] <= caller["last"]
            assert (told[1]["sunset"], told[1]["link"]) == ("2999-12-31T00:00:00Z", "https://a.test/two")
            assert told[2]["callers"] == []
            metrics = fetch(admin, "/metrics", Host="localhost").body.decode()
            counted = {
                (sample.labels["version"], sample.labels["http_route"]): sample.value
                for family in text_string_to_metric_families(metrics)
                for sample in family.samples
                if sample.name == "apigw_version_requests_total"
            }
            assert counted == {("1", "users-old"): 3, ("2", "users"): 1, ("1", "by-path"): 1}
