"""What is installed, and with what. Tools are configured in pyproject.toml."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """The version that apigw/__init__.py names, read without importing what may not be installed yet."""
    found = re.search(r'^__version__ = "([^"]+)"$', (ROOT / "apigw/__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit("setup.py: apigw/__init__.py names no __version__")
    return found[1]


RUN = [
    "attrs>=23.1",
    "cryptography>=44.0",
    "h2>=4.3,<5",  # it refuses what made servers reset streams (CVE-2025-8671); web/h2_machine.py knows its insides
    "hpack>=4.0,<5",
    "hyperframe>=6.0",
    "prometheus-client>=0.20",
    "pyjwt[crypto]>=2.10",
    "pyopenssl>=24.3",
    "service-identity>=24.2",
    "treq>=26.7",
    "twisted[tls]>=26.10",  # seven CVEs were fixed in it
    "zope.interface>=6.0",
]
REDIS = ["hiredis>=3.0"]
COMPRESSION = ["brotli>=1.1", "zstandard>=0.22"]
GRAPHQL = ["graphql-core>=3.3"]
COMPILER = ["mypy>=2.4", "mypy-zope>=1.0.17"]
TEST = [
    *REDIS,
    *GRAPHQL,
    *COMPRESSION,
    *COMPILER,  # tests/test_image.py compiles
    "h11>=0.16",
    "hishel>=2.0",  # another reading of RFC 9111, which ours is compared with
    "httptools>=0.6.4",
    "httpx[http2]>=0.28",
    "hypothesis>=6.100",
    "jsonschema>=4.23",
    "kubernetes-validate>=1.37",  # it brings the schemas
    "pytest>=8.3",
    "pytest-twisted>=1.14,<1.15",  # tests/reactor_checks.py replaces one of its functions
    "pyyaml>=6.0",
    "websockets>=14.0",
    "schemathesis>=4.10",  # tests/wire/test_operators.py runs it
    "protobuf>=5.0",
    "opentelemetry-proto>=1.27",  # tests/wire/test_tracing.py reads spans by it
    "setuptools>=77",  # tests/test_packaging.py builds a wheel without a download
]
DEV = ["ruff>=0.11"]

COMPILE = os.environ.get("APIGW_COMPILE", "") not in ("", "0")
"""The path of a request becomes machine code, by mypyc; a C compiler must be there. Without it the same source runs."""

COMPILED = {
    "apigw": ("body", "core", "deadline", "finder", "loop", "messages", "routes", "routing", "task"),
    "apigw/http1": ("body", "errors", "fields", "framing", "head", "request", "response"),
    "apigw/keys": ("authority",),
    "apigw/policy": (
        *("breaker", "cors", "gcra", "hpack", "limit_fields", "paths", "principal", "redact", "requestid"),
        *("retry_budget", "token_cache"),
    ),
    "apigw/stages": (
        *("access_log", "body_limit", "cors", "entry", "graphql", "identity", "jwt", "limits", "origin", "request_id"),
        *("security", "tracing"),
    ),
    "apigw/telemetry": ("access_log", "cells", "recent", "requests", "tallies"),
    "apigw/upstream": (
        *("agent", "connection", "forwarder", "peer", "pool", "response", "send", "traced", "upgrading"),
        "upstream",
    ),
    "apigw/web": ("channel", "h2", "h2_machine", "h2_request", "h2_stream", "pump"),
}


def extensions() -> list[Extension]:
    if not COMPILE or "egg_info" in sys.argv:  # pip asks in this way what it has to install before it builds
        return []
    from mypyc.build import mypycify

    modules = [f"{directory}/{name}.py" for directory, names in COMPILED.items() for name in names]
    options = ["--config-file=pyproject.toml", *modules]
    return mypycify(options, opt_level="2", debug_level="0", group_name="apigw")


setup(
    name="apigw",
    version=version(),
    description="An HTTP API gateway on Twisted and treq, run by twistd from one INI file",
    author="the apigw contributors",
    license_expression="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: Proxy Servers",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    setup_requires=[*RUN, *GRAPHQL, *COMPILER] if COMPILE else [],  # types of what is imported count
    ext_modules=extensions(),
    install_requires=RUN,
    extras_require={"redis": REDIS, "compression": COMPRESSION, "graphql": GRAPHQL, "test": TEST, "dev": [*TEST, *DEV]},
    # An explicit root makes `pip install -e .` put the checkout itself on sys.path; without it an import hook is
    # installed instead, and Twisted, which looks for plugins in the directories of sys.path, would not see ours.
    package_dir={"": "."},
    # twisted/ and twisted/plugins/ have no __init__.py: they are Twisted's packages, and we only add a file to one.
    packages=[*find_packages(include=["apigw", "apigw.*"]), "twisted.plugins"],
    package_data={"apigw": ["py.typed", "admin/dashboard/*"]},
    zip_safe=False,
)
