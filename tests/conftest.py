"""What holds for all tests; tests/hygiene says what each of them is held to."""

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does, and says nothing.
settings.register_profile("apigw", deadline=None)
settings.load_profile("apigw")

pytest.register_assert_rewrite("tests.kit", "tests.hygiene")

pytest_plugins = [
    "pytester",
    "tests.hygiene.time_limit",
    "tests.hygiene.leftovers",
    "tests.hygiene.log_errors",
]
