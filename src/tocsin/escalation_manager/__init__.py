"""Stage escalation: policies, schedules, rotations and timers (not built yet)."""
