"""HAProxy as a bare reverse proxy: one thread, idle upstream connections shared."""

from benchmarks.contender import HOST, Contender, Place, Running, program_missing, version_of

CONFIG = """\
global
    nbthread 1
    maxconn 12000
    no strict-limits
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10m
    http-reuse always
frontend in
    bind {host}:{port} backlog 4096
    bind {host}:{tls} backlog 4096 ssl crt {pem} alpn h2,http/1.1
    default_backend service
backend service
    server upstream {host}:{upstream} pool-max-conn -1
"""


def start(place: Place, upstream: Running) -> Running:
    ports = {"port": place.port, "tls": place.tls_port, "upstream": upstream.port}
    config = CONFIG.format(host=HOST, pem=place.certificate, **ports)
    return place.spawn(["haproxy", "-db", "-f", place.write("haproxy.cfg", config)])


CONTENDER = Contender(
    name="haproxy", start=start, version=version_of("haproxy", "-v"), missing=program_missing("haproxy"), http2=True
)
