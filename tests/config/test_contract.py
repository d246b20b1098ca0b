"""The names that users rely on: each is there."""

from apigw.config.draft import KINDS
from apigw.config.founding import UNUSED_VARIABLES
from apigw.config.versioning import OF_A_VERSION

CONTRACT = {
    "gateway": """
        workers trusted_proxies drain_timeout max_header_size max_body header_timeout body_idle_timeout
        keepalive_timeout write_idle_timeout error_format access_log maintenance
    """,
    "listener": """
        endpoint tls certificates client_auth client_ca handshake_timeout http2 proxy_protocol
    """,
    "host": "client_auth client_ca",
    "admin": "endpoint token_env",
    "service": """
        urls balance hash_on backup_urls max_connections max_queue queue_timeout
        timeout.connect timeout.first_byte timeout.idle timeout.total
        retry.attempts retry.on retry.budget retry.backoff retry.methods
        breaker.ratio breaker.volume breaker.window breaker.open_for breaker.half_open breaker.closes_after
        health.path health.interval health.timeout health.healthy_after health.unhealthy_after health.status
        outlier.consecutive_5xx outlier.eject_for outlier.max_ejected
        tls.ca tls.client_cert tls.server_name maintenance
    """,
    "route": """
        path host methods headers version service split mirror strip_prefix rewrite auth roles scopes
        limit.ip limit.user limit.route timeout.total max_body cache stale_while_revalidate idempotency
        request.set request.remove response.set response.remove compression maintenance aggregate stages enforce
    """,
    "cors": "origins credentials methods headers expose max_age",
    "jwt": """
        algorithms jwks_url jwks_file secret_env public_key_file issuer audience leeway
        claims.user claims.roles claims.scopes jwks_refresh jwks_min_interval
    """,
    "identity": "sign secret_env",
    "limits": "ip user store redis_url_env redis_deadline headers",
    "versioning": "sources default *.deprecated *.sunset",
    "graphql": """
        path service max_depth max_cost max_aliases max_tokens max_directives max_batch batching introspection
        persisted auth
    """,
    "discovery": "environment url interval",
    "tracing": "otlp_endpoint sample",
    "stage": "use *",
    "demo": "enabled",
}
"""Keys by kind of section; ``*`` stands for any word."""

NAMED = {"consumer", "listener", "host", "service", "route", "version", "issuer", "stage"}

FOUNDING = {
    "PORT",
    "{NAME}_SERVICE_URL",
    "JWT_SECRET",
    "INTERNAL_SERVICE_SECRET",
    "CORS_ORIGINS",
    "RATE_LIMIT_MAX_REQUESTS",
    "RATE_LIMIT_WINDOW_MS",
    "RATE_LIMIT_AUTH_MAX",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
    "CIRCUIT_BREAKER_RESET_TIMEOUT",
    "BODY_SIZE_LIMIT",
    "REDIS_URL",
    "MAINTENANCE_MODE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "SHUTDOWN_TIMEOUT_MS",
}

KEYS = {(kind, key) for kind, keys in CONTRACT.items() for key in keys.split()}
IN_FORCE = {(kind.kind, key) for kind in KINDS.values() for key in kind.options}
IN_FORCE |= {("versioning", f"*.{key}") for key in OF_A_VERSION if ("version", key) in IN_FORCE}


def test_each_key_of_the_contract_is_there():
    assert KEYS <= IN_FORCE


def test_the_kinds_that_have_names():
    assert {kind.kind for kind in KINDS.values() if kind.named} == NAMED


def test_each_founding_variable_is_used_or_known_not_to_be():
    used = {option.variable.name for kind in KINDS.values() for option in kind.options.values() if option.variable}
    assert used | set(UNUSED_VARIABLES) == FOUNDING
    assert not used & set(UNUSED_VARIABLES)
