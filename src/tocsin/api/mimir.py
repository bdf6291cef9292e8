"""The Mimir dialect: rule and Alertmanager configuration per tenant (not built yet)."""
