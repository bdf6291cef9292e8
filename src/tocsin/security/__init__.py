"""Engine: tokens, permissions and the audit trail."""
