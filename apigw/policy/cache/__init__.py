"""What a shared cache may keep, and for whom it may use that again (RFC 9111); bytes, numbers and no I/O."""
