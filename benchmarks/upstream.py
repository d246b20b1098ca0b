"""The service behind every contender: an nginx that answers from memory and page cache."""

import os

from benchmarks import nginx
from benchmarks.contender import HOST, Place, Running

KIB, MIB, GIB = 1024, 1024**2, 1024**3

SMALL, VARIED, POST, DOWNLOAD, BIG = "/small", "/shops", "/sink", "/1mib", "/1gib"

SMALL_ANSWER = 193  # bytes with the head, the size of many an API's short answer
HEAD = (
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: 10\r\nConnection: keep-alive\r\n\r\n"
)

# The sink answers only when the whole body was read into memory: nginx's `return` would answer before it.
# Hence the second server, to which the body isn't sent on.
HTTP = """\
    default_type application/json;
    open_file_cache max=10 inactive=1h;
    upstream answer {{ server unix:{directory}/answer.sock; keepalive 1024; }}
    server {{
        listen unix:{directory}/answer.sock;
        return 200 '{body}';
    }}
    server {{
        listen {host}:{port} backlog=4096;
        listen {host}:{tls} ssl http2 backlog=4096;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        http2_max_requests 100000000;
        root {directory};
        location = /small {{ return 200 '{body}'; }}
        location /shops/ {{ return 200 '{body}'; }}
        location = /1mib {{ }}
        location = /1gib {{ }}
        location = /sink {{
            client_body_buffer_size 2m;
            proxy_pass http://answer;
            proxy_http_version 1.1;
            proxy_method GET;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
        }}
    }}
"""


def small_body() -> str:
    """JSON that makes the small answer ``SMALL_ANSWER`` bytes long, head and body together."""
    length = SMALL_ANSWER - len(HEAD)
    frame = '{"data":""}'
    return frame[:-2] + "x" * (length - len(frame)) + frame[-2:]


def start(place: Place) -> Running:
    """Start it; a gigabyte is a sparse file, so it costs page cache and no disk."""
    (place.directory / DOWNLOAD[1:]).write_bytes(os.urandom(MIB))
    with (place.directory / BIG[1:]).open("wb") as sparse:
        sparse.truncate(GIB)
    where = {"directory": place.directory, "host": HOST, "port": place.port, "tls": place.tls_port}
    return nginx.start(place, HTTP.format(**where, pem=place.certificate, body=small_body()))
