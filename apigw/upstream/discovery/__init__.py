"""Where the peers of services are found: DNS, an HTTP registry, Kubernetes; asked again and again."""
