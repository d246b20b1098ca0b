"""The side of the services: upstreams, their peers, the connections to them."""
