-- name: has_meta
-- One row when the database was ever migrated.
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta';

-- name: schema_version
-- The number of the last migration applied.
SELECT value FROM meta WHERE key = 'schema_version';
