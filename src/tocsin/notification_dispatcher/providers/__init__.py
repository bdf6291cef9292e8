"""Plugins: one kind of receiver a file, ending in its SPEC."""
