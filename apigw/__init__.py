"""An HTTP API gateway on Twisted and treq."""

__version__ = "0.1.0.dev0"
