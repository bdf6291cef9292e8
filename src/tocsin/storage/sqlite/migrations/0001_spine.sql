-- The spine: log, applied offsets, snapshots, outbox, attempts, incidents.
-- Times are microseconds since 1970 UTC. Every key leads with the tenant but the log's own.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- AUTOINCREMENT: a pruned seq is never given out again.
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX log_by_tenant ON log (tenant, seq);

CREATE TABLE applied (
    tenant TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE snapshot (
    tenant TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- created_seq and ordinal: the log entry that caused the row, and its place in that delta.
-- next_at_us 0: never tried, due at once whatever the clock says.
CREATE TABLE outbox (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_seq INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    integration TEXT NOT NULL,
    group_key TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'rejected', 'dead', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at_us INTEGER NOT NULL DEFAULT 0,
    first_at_us INTEGER,
    ended_us INTEGER,
    last_error TEXT NOT NULL DEFAULT '',
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX outbox_due ON outbox (tenant, next_at_us, created_seq, ordinal, id)
    WHERE state = 'pending';
CREATE INDEX outbox_by_age ON outbox (tenant, created_seq, ordinal);

CREATE TABLE attempt (
    tenant TEXT NOT NULL,
    notification TEXT NOT NULL,
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, notification, number)
) WITHOUT ROWID;

-- changed_seq: the log entry that wrote the row last; a replay never takes it back.
CREATE TABLE incident (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    opened_us INTEGER NOT NULL,
    changed_seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX incident_by_age ON incident (tenant, opened_us, id);
CREATE INDEX incident_by_state ON incident (tenant, state, opened_us, id);

INSERT INTO meta (key, value) VALUES ('schema_version', '1')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
