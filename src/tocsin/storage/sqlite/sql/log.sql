-- name: append_entry
-- Add one entry at the end of the log; its seq is the last row id.
INSERT INTO log (tenant, at_us, kind, body) VALUES (:tenant, :at_us, :kind, :body);

-- name: tail_entries
-- Entries of a tenant behind a seq, oldest first.
SELECT seq, at_us, kind, body FROM log
WHERE tenant = :tenant AND seq > :after ORDER BY seq LIMIT :limit;

-- name: raise_applied
-- Note the last entry whose delta is committed; it never goes back.
INSERT INTO applied (tenant, seq) VALUES (:tenant, :seq)
ON CONFLICT (tenant) DO UPDATE SET seq = max(applied.seq, excluded.seq);

-- name: applied_seq
-- The last entry whose delta is committed.
SELECT seq FROM applied WHERE tenant = :tenant;

-- name: save_snapshot
-- Replace the snapshot of a tenant by one that is not older.
INSERT INTO snapshot (tenant, seq, body) VALUES (:tenant, :seq, :body)
ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, body = excluded.body
WHERE excluded.seq >= snapshot.seq;

-- name: load_snapshot
-- The snapshot of a tenant.
SELECT seq, body FROM snapshot WHERE tenant = :tenant;
