"""Caddy as a bare reverse proxy: one processor, as the others have one worker or thread."""

from benchmarks.contender import HOST, Contender, Place, Running, program_missing, version_of

CONFIG = """\
{{
    admin off
    auto_https off
    default_bind {host}
}}
(proxy) {{
    reverse_proxy {host}:{upstream} {{
        transport http {{
            keepalive 10m
            keepalive_idle_conns 2048
            keepalive_idle_conns_per_host 2048
            compression off
        }}
    }}
}}
http://{host}:{port} {{
    import proxy
}}
https://{host}:{tls} {{
    tls {pem} {pem}
    import proxy
}}
"""


def start(place: Place, upstream: Running) -> Running:
    ports = {"port": place.port, "tls": place.tls_port, "upstream": upstream.port}
    config = place.write("Caddyfile", CONFIG.format(host=HOST, pem=place.certificate, **ports))
    home = str(place.directory)
    env = {"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    return place.spawn(["caddy", "run", "--config", config, "--adapter", "caddyfile"], env)


CONTENDER = Contender(
    name="caddy", start=start, version=version_of("caddy", "version"), missing=program_missing("caddy"), http2=True
)
