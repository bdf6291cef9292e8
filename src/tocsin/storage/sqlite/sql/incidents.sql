-- name: upsert_incident
-- Write an incident as an entry left it, unless a later entry wrote it already.
INSERT INTO incident (tenant, id, state, opened_us, changed_seq, body)
VALUES (:tenant, :id, :state, :opened_us, :changed_seq, :body)
ON CONFLICT (tenant, id) DO UPDATE SET
    state = excluded.state, opened_us = excluded.opened_us,
    changed_seq = excluded.changed_seq, body = excluded.body
WHERE excluded.changed_seq >= incident.changed_seq;

-- name: open_incidents
-- Open incidents of a tenant, oldest first.
SELECT body FROM incident WHERE tenant = :tenant AND state = 'open' ORDER BY opened_us, id;

-- name: incidents
-- Incidents of a tenant opened before a time, newest first.
SELECT body FROM incident
WHERE tenant = :tenant AND opened_us < :before_us
ORDER BY opened_us DESC, id DESC LIMIT :limit;

-- name: incidents_in_state
-- Incidents of a tenant in one state, opened before a time, newest first.
SELECT body FROM incident
WHERE tenant = :tenant AND state = :state AND opened_us < :before_us
ORDER BY opened_us DESC, id DESC LIMIT :limit;

-- name: incident
-- One incident of a tenant.
SELECT body FROM incident WHERE tenant = :tenant AND id = :id;
