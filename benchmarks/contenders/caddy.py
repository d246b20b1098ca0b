"""Caddy as a bare reverse proxy: one processor, as the others have one worker or thread."""

from benchmarks.contender import HOST, Contender, Place, Running, program_missing, version_of

CONFIG = """\
{{
    admin off
    auto_https off
}}
http://{host}:{port} {{
    bind {host}
    reverse_proxy {host}:{upstream} {{
        transport http {{
            keepalive 10m
            keepalive_idle_conns 2048
            keepalive_idle_conns_per_host 2048
            compression off
        }}
    }}
}}
"""


def start(place: Place, upstream: Running) -> Running:
    config = place.write("Caddyfile", CONFIG.format(host=HOST, port=place.port, upstream=upstream.port))
    home = str(place.directory)
    env = {"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    return place.spawn(["caddy", "run", "--config", config, "--adapter", "caddyfile"], env)


CONTENDER = Contender(
    name="caddy", start=start, version=version_of("caddy", "version"), missing=program_missing("caddy")
)
