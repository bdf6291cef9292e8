"""The embedded backend: one SQLite file, one writer thread, durable before acknowledged."""
