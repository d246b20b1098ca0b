"""The side of the clients: listeners, channels, what goes over them."""
