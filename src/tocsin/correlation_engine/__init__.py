"""Stage incident: alerts that belong together become incidents."""
