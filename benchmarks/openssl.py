"""What OpenSSL alone keeps of an idle TLS connection: ``python -m benchmarks.openssl PEM COUNT`` prints bytes."""

import os
import sys

from OpenSSL import SSL

from benchmarks import procfs

PIECE = 65536


def _pair(server: SSL.Context, client: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """Both ends of a connection in memory, after the handshake and an exchange of a few bytes."""
    ends = SSL.Connection(server, None), SSL.Connection(client, None)
    ends[0].set_accept_state()
    ends[1].set_connect_state()
    done = 0
    while done < len(ends):
        done = 0
        for end, other in (ends, ends[::-1]):
            try:
                end.do_handshake()
                done += 1
            except SSL.WantReadError:
                pass
            _carry(end, other)
    for end, other in (ends[::-1], ends):
        end.send(b"some bytes")
        _carry(end, other)
        other.recv(PIECE)
    return ends


def _carry(end: SSL.Connection, other: SSL.Connection) -> None:
    try:
        other.bio_write(end.bio_read(PIECE))
    except SSL.WantReadError:
        pass


def measure(pem: str, count: int) -> float:
    """Resident bytes of the server's end of each of ``count`` connections."""
    server = SSL.Context(SSL.TLS_METHOD)
    server.use_certificate_chain_file(pem)
    server.use_privatekey_file(pem)
    server.set_mode(SSL.MODE_RELEASE_BUFFERS)
    client = SSL.Context(SSL.TLS_METHOD)
    kept = []
    for _ in range(count // 10):  # what is allocated once
        _pair(server, client)
    before = procfs.resident_bytes([os.getpid()])
    for _ in range(count):
        end, _ = _pair(server, client)
        kept.append(end)
    return (procfs.resident_bytes([os.getpid()]) - before) / len(kept)


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
