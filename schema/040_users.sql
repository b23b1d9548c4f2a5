-- Who may use the API: people (users) and what they or an account were given at log-in or for a program (tokens).
-- Passwords are kept as PBKDF2 hashes, tokens as SHA-256. Scopes are separated by spaces, "*" is all of them. Times are microseconds since 1970 UTC.
CREATE TABLE users (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	password_hash TEXT NOT NULL,
	scopes TEXT NOT NULL,
	must_change INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	last_login_at INTEGER NOT NULL
);
-- kind: "session" (a log-in, ends by itself) or "named" (made for a program). user_name is empty when the owner is an account of the
-- directory, then account says which. expires_at 0: never.
CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	user_name TEXT NOT NULL,
	account TEXT NOT NULL,
	scopes TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	last_used_at INTEGER NOT NULL
);
CREATE INDEX tokens_by_user ON tokens (user_name);
