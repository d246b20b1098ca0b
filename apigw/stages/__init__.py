"""Stages: each brings one policy to the path of a request, and keeps no reactor."""
