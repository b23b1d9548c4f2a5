-- Which node (sip.node) has the way to a device, and when the row was written: other nodes of the same database read what is new to them
-- (sip/location_nodes.c). A registration that has ended there keeps its row for a while, with 0 for its end.
ALTER TABLE registrations ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE registrations ADD COLUMN written_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX registrations_by_written_at ON registrations (written_at);
