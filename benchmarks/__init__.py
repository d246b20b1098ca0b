"""What a request through the gateway costs, beside other proxies: ``python -m benchmarks --help``."""
