"""What goes wrong in operation, done on purpose to a gateway under load: ``python -m benchmarks.faults``."""
