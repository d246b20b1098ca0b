"""
HTTP/1.1 without I/O, in both directions: heads and bodies, taken apart and put together.

Bytes go in; values and ``errors.BadMessage`` come out, and nothing else is raised on bytes from a wire.
What could be framed in two ways is refused and never repaired (RFC 9112 section 11.2).
"""
