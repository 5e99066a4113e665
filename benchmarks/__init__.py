"""Measurements, off by default; each is a ratio against a named peer in the same run."""
