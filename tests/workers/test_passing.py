"""What a worker begins with."""

from __future__ import annotations

import os

from apigw.workers.passing import Start, file_of, started, text_of


def test_a_start_is_read_as_it_was_passed() -> None:
    descriptors = [os.dup(0) for _ in range(3)]
    try:
        start = Start(2, *descriptors, admin="/run/2.sock")
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        assert started(start.environment()) == start
        assert not any(map(os.get_inheritable, descriptors))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_who_was_passed_nothing_is_no_worker() -> None:
    assert started({}) is None


def test_a_text_can_be_read_by_several() -> None:
    descriptor = file_of("[gateway]\n; \u00e4\n" * 10_000)
    try:
        assert text_of(descriptor) == text_of(os.dup(descriptor)) == "[gateway]\n; \u00e4\n" * 10_000
    finally:
        os.close(descriptor)
