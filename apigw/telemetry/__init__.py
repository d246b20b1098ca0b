"""What the gateway tells about itself: metrics, access log, traces."""
