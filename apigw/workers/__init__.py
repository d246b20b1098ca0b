"""Several processes that share the listeners, and the one that starts, watches and replaces them."""
