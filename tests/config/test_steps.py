"""Work in steps."""

from __future__ import annotations

from apigw.config.steps import SOME, let_go


def test_what_isnt_needed_any_more_goes_a_few_at_a_time() -> None:
    several = dict.fromkeys(range(3 * SOME))
    left = [len(several) for _ in let_go(several)]
    assert left == [3 * SOME, 2 * SOME, SOME]
    assert several == {}
