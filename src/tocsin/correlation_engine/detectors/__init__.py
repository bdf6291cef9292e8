"""Plugins: one anomaly detector a file."""
