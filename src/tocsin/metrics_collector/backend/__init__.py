"""Prometheus-compatible servers that hold a tenant's metrics: asked, written to, never trusted."""
