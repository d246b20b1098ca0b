"""``python -m apigw``: what a running gateway says of itself and is told to do, by way of its admin listener."""
