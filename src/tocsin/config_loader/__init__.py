"""One YAML file in, one checked value out; a bad file never replaces a good one."""
