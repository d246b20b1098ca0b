"""Tests of apigw.http1.errors."""

from __future__ import annotations

import copy

from apigw.http1.errors import BadMessage


def test_says_status_code_and_sentence() -> None:
    error = BadMessage(431, "head-too-large", "The head is too large.")
    assert (error.status, error.code, error.detail) == (431, "head-too-large", "The head is too large.")
    assert str(error) == "The head is too large. (head-too-large, 431)"


def test_can_be_copied() -> None:
    error = copy.copy(BadMessage(400, "bare-lf", "A line feed."))
    assert (error.status, error.code, error.detail) == (400, "bare-lf", "A line feed.")
