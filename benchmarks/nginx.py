"""An nginx in the foreground with a prefix of its own: one worker, nothing logged, nothing shared."""

from benchmarks.contender import Place, Running, program_missing, version_of

missing = program_missing("nginx")
version = version_of("nginx", "-v")

FRAME = """\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 10m;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""


def start(place: Place, http: str) -> Running:
    """Start nginx with ``http`` inside its http block."""
    config = place.write("nginx.conf", FRAME.format(directory=place.directory, http=http))
    early_log = place.write("early.log", "")  # else nginx tries its compiled-in path before it reads the config
    return place.spawn(["nginx", "-p", str(place.directory), "-e", early_log, "-c", config])
