-- What REST remembers over a restart. Times are microseconds since 1970 UTC.
-- How often somebody tried to log in: key is "login ADDRESS USER", "from ADDRESS" or "against USER"; locked_until 0: not locked.
CREATE TABLE login_tries (
	key TEXT PRIMARY KEY,
	tries INTEGER NOT NULL,
	since INTEGER NOT NULL,
	locked_until INTEGER NOT NULL
);
-- Answers given under an Idempotency-Key, for a day. fingerprint: SHA-256 of what was asked. status 0: not answered yet, by the daemon whose
-- run it is. body is sealed: an answer may hold a secret that is shown once.
CREATE TABLE idempotency_keys (
	principal TEXT NOT NULL,
	key TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	run TEXT NOT NULL,
	status INTEGER NOT NULL,
	content_type TEXT NOT NULL,
	location TEXT NOT NULL,
	body TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
