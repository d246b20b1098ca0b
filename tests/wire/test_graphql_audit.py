"""The audit of the npm package graphql-http: a service passes it through the gateway as it does without."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.wire.gateway import Gateway

PACKAGES = ("graphql-http@1.23.1", "graphql@16.15.0")

SERVICE = """\
import http from 'node:http';
import { createHandler } from 'graphql-http/lib/use/http';
import { buildSchema } from 'graphql';
const schema = buildSchema('type Query { hello(name: String): String }');
const answer = createHandler({ schema, rootValue: { hello: ({ name }) => `hello ${name}` } });
const server = http.createServer(answer);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""

AUDIT = """\
import { auditServer } from 'graphql-http';
const found = await auditServer({ url: process.argv[2], fetchFn: fetch });
console.log(JSON.stringify(found.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
"""

INI = """\
[listener:public]
endpoint = tcp:0:interface=127.0.0.1
[service:graph]
urls = http://127.0.0.1:{port}
[graphql]
service = graph
{own}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages and the two programs."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    directory = tmp_path_factory.mktemp("node")
    (directory / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    (directory / "service.js").write_text(SERVICE, "utf-8")
    (directory / "audit.js").write_text(AUDIT, "utf-8")
    arguments = [npm, "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
    subprocess.run(arguments, cwd=directory, check=True, timeout=120)
    return directory


@contextmanager
def service(directory: Path) -> Iterator[int]:
    with subprocess.Popen(["node", "service.js"], cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def audit(directory: Path, port: int) -> dict[str, tuple[str, str | None]]:
    """:return: by id and name of each check what came out."""
    url = f"http://127.0.0.1:{port}/graphql"
    done = subprocess.run(
        ["node", "audit.js", url], cwd=directory, check=True, timeout=60, capture_output=True, text=True
    )
    return {f"{one['id']} {one['name']}": (one["status"], one.get("reason")) for one in json.loads(done.stdout)}


def test_the_audit_says_the_same_of_the_gateway_as_of_the_service(node: Path, tmp_path: Path) -> None:
    with service(node) as port:
        direct = audit(node, port)
        assert len(direct) > 50
        assert {status for status, _ in direct.values()} == {"ok"}
        # Some of the checks ask for a type of the schema.
        for own in ("", "introspection = yes"):
            with Gateway(tmp_path, INI.format(port=port, own=own)) as gateway:
                assert audit(node, gateway.port) == direct, own
