"""The scaled backend: the same files and query names as `sqlite`, on PostgreSQL (not built yet)."""
