"""Stage alert: dedupe, silence, inhibit, mute, route, group. A pure engine over a durable log."""
