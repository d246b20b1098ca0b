"""Counts and answers that outlive one request: in this process, shared on a machine, or across machines."""
