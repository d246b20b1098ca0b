"""How the use of a permit or of a peer ended; plain ints, for they pass through the hot path on each request."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""The peer answered, and not with a failure."""

FAILED: Final = 1
"""It didn't, or with a status that counts as a failure."""

ABANDONED: Final = 2
"""Nobody waited for the end, such as a client that hung up: it says nothing about the peer."""
