"""
For tests of your own: the real gateway of a configuration, in memory, with services that are functions and a clock that
the test moves. No sockets, no threads, no waiting. docs/testing.md shows how.
"""

from __future__ import annotations

from apigw.testing.gateway import Answer, Call, MemoryGateway
from apigw.testing.services import CUT, HANG, REFUSE, Asked, Reply

__all__ = ["CUT", "HANG", "REFUSE", "Answer", "Asked", "Call", "MemoryGateway", "Reply"]
