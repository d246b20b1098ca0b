"""What a supervisor and its workers say to each other, over a pair of UNIX sockets that carry descriptors too."""

from __future__ import annotations

from twisted.protocols import amp

MAX_REASON = 20_000
"""Characters of a reason that are told; AMP takes 64 KiB."""


class Ready(amp.Command):
    """From a worker: it listens, and answers operators."""


class Revoked(amp.Command):
    """From a worker: what it knows of tokens that count no more, or do again; lines of JSON."""

    arguments = [(b"lines", amp.Unicode())]
    requiresAnswer = False


class Know(amp.Command):
    """Which tokens count no more: a file with lines of JSON."""

    arguments = [(b"lines", amp.Descriptor())]


class Accept(amp.Command):
    """Let clients in; it knows all that the others do."""


class Verdict(amp.Command):
    """What the checks say of a peer: from the worker that checks, and to all others."""

    arguments = [
        (b"service", amp.Unicode()),
        (b"peer", amp.Unicode()),
        (b"healthy", amp.Boolean()),
        (b"reason", amp.Unicode()),
    ]
    requiresAnswer = False


class Check(amp.Command):
    """To the one worker that is to check the peers for all."""

    requiresAnswer = False


class Reopen(amp.Command):
    """Open the file of the access log anew."""

    requiresAnswer = False


class Listen(amp.Command):
    """Here is a socket for an endpoint of the configuration that comes next."""

    arguments = [(b"where", amp.Unicode()), (b"socket", amp.Descriptor())]


class Prepare(amp.Command):
    """Make ready what the configuration in this file needs; answered with why it can't be used, or nothing."""

    arguments = [(b"text", amp.Descriptor())]
    response = [(b"reason", amp.Unicode())]


class Commit(amp.Command):
    """Use what was prepared."""


class Abandon(amp.Command):
    """Don't."""


class Ping(amp.Command):
    """Say that the loop turns."""
