"""Dashboards: Grafana dashboards generated per tenant (not built yet)."""
