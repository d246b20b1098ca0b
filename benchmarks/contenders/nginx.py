"""nginx as a bare reverse proxy with kept upstream connections: the reference of every ratio."""

from benchmarks import nginx
from benchmarks.contender import HOST, Contender, Place, Running

# Bodies stream both ways and never touch a file, as in the gateway; nginx's defaults would spool them.
HTTP = """\
    upstream service {{ server {host}:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen {host}:{port} backlog=4096;
        listen {host}:{tls} ssl http2 backlog=4096;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        ssl_protocols TLSv1.2 TLSv1.3;
        http2_max_requests 100000000;
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
        }}
    }}
"""


def start(place: Place, upstream: Running) -> Running:
    ports = {"port": place.port, "tls": place.tls_port, "upstream": upstream.port}
    return nginx.start(place, HTTP.format(host=HOST, pem=place.certificate, **ports))


CONTENDER = Contender(name="nginx", start=start, version=nginx.version, missing=nginx.missing, http2=True)
