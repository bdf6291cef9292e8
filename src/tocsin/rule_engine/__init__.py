"""Stage rule: Prometheus rule files evaluated on schedule; alerts go pending, firing, resolved."""
