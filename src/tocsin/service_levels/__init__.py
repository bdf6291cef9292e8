"""Stage report: SLOs, error budgets, SLA clocks (not built yet)."""
