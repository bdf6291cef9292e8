"""Engine: a Go-template interpreter with budgets."""
