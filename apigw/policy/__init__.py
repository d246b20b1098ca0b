"""Decisions without I/O: time and chance come in as arguments, and nothing of apigw is imported but this package."""
