-- The event log: what happened, in order, without a gap. data is a JSON object as text.
CREATE TABLE event_log (
	seq INTEGER PRIMARY KEY,
	id TEXT NOT NULL,
	type TEXT NOT NULL,
	owner TEXT NOT NULL,
	wall_us INTEGER NOT NULL,
	call_id TEXT NOT NULL,
	linked_id TEXT NOT NULL,
	data TEXT NOT NULL
);
CREATE INDEX event_log_wall ON event_log (wall_us);
CREATE INDEX event_log_call ON event_log (call_id);

-- How far each follower of the log has come: it is done with everything up to seq.
CREATE TABLE event_followers (
	owner TEXT NOT NULL,
	name TEXT NOT NULL,
	seq INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (owner, name)
);
