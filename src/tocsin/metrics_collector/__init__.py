"""Stage metric: samples come in by scrape, from this host and from this process."""
