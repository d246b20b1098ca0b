"""The examples in the pages for operators."""

from __future__ import annotations

import pytest

from apigw.config.loader import loads
from tests.examples import ini_examples


@pytest.mark.parametrize("page", ["operations/dashboard.md", "operations/explain.md"])
def test_the_examples_can_be_loaded(page: str) -> None:
    [example] = ini_examples(page)
    config = loads("[service:any]\nurls = http://a\n" + example, "gw.ini", {})
    assert config.admin is not None
    assert config.admin.endpoint.port == 9900
