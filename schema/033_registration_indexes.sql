-- Who has no other node beside it pays for no index of when a row was written, and nobody asks for rows by account: they are in memory.
DROP INDEX registrations_by_aor;
DROP INDEX registrations_by_written_at;
CREATE INDEX registrations_of_nodes ON registrations (written_at) WHERE node <> '';
