"""Stage notification: the outbox is sent, at least once, with a stable idempotency key."""
