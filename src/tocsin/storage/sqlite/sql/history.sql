-- name: prunable_entries
-- Log entries older than a time that no recovery needs: behind the snapshot.
SELECT log.seq FROM log
JOIN snapshot ON snapshot.tenant = log.tenant
WHERE log.tenant = :tenant AND log.seq <= snapshot.seq AND log.at_us < :before_us
ORDER BY log.seq LIMIT :limit;

-- name: delete_entries
-- Remove log entries of a tenant.
DELETE FROM log WHERE tenant = :tenant AND seq IN (SELECT value FROM json_each(:ids));

-- name: prunable_notifications
-- Notifications that ended before a time and that no replay can bring back.
SELECT outbox.id FROM outbox
JOIN snapshot ON snapshot.tenant = outbox.tenant
WHERE outbox.tenant = :tenant AND outbox.created_seq <= snapshot.seq
    AND outbox.state <> 'pending' AND coalesce(outbox.ended_us, outbox.created_us) < :before_us
ORDER BY outbox.created_seq, outbox.ordinal LIMIT :limit;

-- name: delete_attempts
-- Remove the attempts at some notifications of a tenant.
DELETE FROM attempt
WHERE tenant = :tenant AND notification IN (SELECT value FROM json_each(:ids));

-- name: delete_notifications
-- Remove notifications of a tenant that have ended.
DELETE FROM outbox
WHERE tenant = :tenant AND state <> 'pending' AND id IN (SELECT value FROM json_each(:ids));

-- name: prunable_incidents
-- Resolved incidents whose last change is older than a time and no replay can bring back.
SELECT incident.id FROM incident
JOIN snapshot ON snapshot.tenant = incident.tenant
WHERE incident.tenant = :tenant AND incident.state = 'resolved'
    AND incident.opened_us < :before_us AND incident.changed_seq <= snapshot.seq
    AND NOT EXISTS (
        SELECT 1 FROM log WHERE log.seq = incident.changed_seq AND log.at_us >= :before_us
    )
ORDER BY incident.opened_us LIMIT :limit;

-- name: delete_incidents
-- Remove resolved incidents of a tenant.
DELETE FROM incident
WHERE tenant = :tenant AND state = 'resolved' AND id IN (SELECT value FROM json_each(:ids));

-- name: outbox_depth
-- How many notifications of a tenant wait, and since when the oldest does.
SELECT count(*), min(created_us) FROM outbox WHERE tenant = :tenant AND state = 'pending';
