"""Engine: structured logs and our own metrics."""
