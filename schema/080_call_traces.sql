-- The signalling messages of calls that are over, as core/trace_keep.c writes and reads them. Size is that of body; times are microseconds since 1970 UTC.
CREATE TABLE call_traces (
	call_id TEXT PRIMARY KEY,
	wall_us INTEGER NOT NULL,
	size INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	body BLOB NOT NULL
);
CREATE INDEX call_traces_by_time ON call_traces (wall_us, size);
