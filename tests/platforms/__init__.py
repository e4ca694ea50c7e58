"""Loopback servers that speak the networks' protocols, for tests and the benchmark. Nothing here knows the core."""
