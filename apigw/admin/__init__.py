"""What operators see and steer, on a listener of its own."""
