"""A client of Redis by which no request waits long: each call has a deadline, and a server that fails is left alone."""
