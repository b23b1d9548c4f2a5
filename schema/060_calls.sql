-- The calls that last, written every few seconds: what a crash cut off is found by it (core/calls_recover.c). One row, id 1: every
-- call.started up to seq that has no call.ended up to there is of one of these calls (ids with blanks between them).
CREATE TABLE calls_open (
	id INTEGER PRIMARY KEY,
	seq INTEGER NOT NULL,
	wall_us INTEGER NOT NULL,
	calls TEXT NOT NULL
);
