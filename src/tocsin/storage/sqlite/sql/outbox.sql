-- name: insert_notification
-- Add a notification that waits to be sent; one that is there already stays as it is.
INSERT INTO outbox (
    tenant, id, created_seq, ordinal, created_us, receiver, integration, group_key, body
) VALUES (
    :tenant, :id, :created_seq, :ordinal, :created_us, :receiver, :integration, :group_key, :body
) ON CONFLICT (tenant, id) DO NOTHING;

-- name: supersede
-- End a waiting notification that a later one replaces.
UPDATE outbox SET state = 'superseded'
WHERE tenant = :tenant AND id = :id AND state = 'pending';

-- name: due_rows
-- Rows to send now that nobody holds: untried ones in the order they came, then by due time.
SELECT body, attempts, first_at_us FROM outbox
WHERE tenant = :tenant AND state = 'pending' AND next_at_us <= :now_us
    AND id NOT IN (SELECT value FROM json_each(:held))
ORDER BY next_at_us, created_seq, ordinal LIMIT :limit;

-- name: next_due
-- When the first waiting row that nobody holds falls due; 0 is at once.
SELECT next_at_us FROM outbox
WHERE tenant = :tenant AND state = 'pending' AND id NOT IN (SELECT value FROM json_each(:held))
ORDER BY next_at_us LIMIT 1;

-- name: insert_attempt
-- Record an attempt; a repeated settle records it once.
INSERT INTO attempt (tenant, notification, number, body)
VALUES (:tenant, :notification, :number, :body)
ON CONFLICT (tenant, notification, number) DO NOTHING;

-- name: note_attempt
-- Count an attempt on its row, whatever the row's state.
UPDATE outbox SET
    attempts = max(attempts, :number), first_at_us = coalesce(first_at_us, :at_us),
    last_error = :reason
WHERE tenant = :tenant AND id = :notification;

-- name: postpone
-- Make a waiting row due again later.
UPDATE outbox SET next_at_us = :next_at_us
WHERE tenant = :tenant AND id = :notification AND state = 'pending';

-- name: end_row
-- End a waiting row; the row returned is what its group must hear.
UPDATE outbox SET state = :state, ended_us = :ended_us
WHERE tenant = :tenant AND id = :notification AND state = 'pending'
RETURNING group_key, integration;

-- name: deliveries
-- One page of the delivery log, newest first.
SELECT id, state, next_at_us, created_us, body FROM outbox
WHERE tenant = :tenant AND (:receiver = '' OR receiver = :receiver)
ORDER BY created_seq DESC, ordinal DESC LIMIT :limit;

-- name: deliveries_before
-- One page of the delivery log, older than a notification of the same tenant.
SELECT id, state, next_at_us, created_us, body FROM outbox
WHERE tenant = :tenant AND (:receiver = '' OR receiver = :receiver)
    AND (created_seq, ordinal) < (
        SELECT created_seq, ordinal FROM outbox WHERE tenant = :tenant AND id = :before
    )
ORDER BY created_seq DESC, ordinal DESC LIMIT :limit;

-- name: attempts_of
-- Attempts at some notifications of a tenant, oldest first.
SELECT notification, body FROM attempt
WHERE tenant = :tenant AND notification IN (SELECT value FROM json_each(:ids))
ORDER BY notification, number;
