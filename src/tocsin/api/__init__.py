"""Inbound adapters: one HTTP dialect a module; a dialect translates and decides nothing."""
