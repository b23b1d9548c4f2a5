-- Where each account's devices are: one row for each binding of the registrar (sip/location.c). Times are microseconds since 1970 UTC.
CREATE TABLE registrations (
	id TEXT PRIMARY KEY,
	aor TEXT NOT NULL,
	uri TEXT NOT NULL,
	received TEXT NOT NULL,
	transport TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	instance TEXT NOT NULL,
	path TEXT NOT NULL,
	call_id TEXT NOT NULL,
	cseq INTEGER NOT NULL,
	reg_id INTEGER NOT NULL,
	q_milli INTEGER NOT NULL,
	registered_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
CREATE INDEX registrations_by_aor ON registrations (aor);
