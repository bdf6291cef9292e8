"""Outbound adapters: each backend implements the ports of the stages."""
