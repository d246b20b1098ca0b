"""
HTTP/1.1 without I/O, both directions: find a head, parse it, serialise one, take bodies apart and put them together.

Bytes go in, values and :class:`~apigw.http1.errors.BadMessage` come out; nothing else is ever raised on bytes from
a wire. What could be framed in two ways is refused, never repaired (RFC 9112 section 11.2).
"""
