"""What holds for all tests; tests/hygiene says what each of them is held to."""

import pytest

pytest.register_assert_rewrite("tests.kit", "tests.hygiene")

pytest_plugins = [
    "pytester",
    "tests.hygiene.time_limit",
    "tests.hygiene.leftovers",
    "tests.hygiene.log_errors",
]
