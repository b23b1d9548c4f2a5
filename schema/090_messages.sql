-- Short messages (RFC 3428) that wait for their recipient to register; gone when delivered or expired.
CREATE TABLE messages (
	id TEXT PRIMARY KEY,
	sender TEXT NOT NULL,
	sender_name TEXT NOT NULL,
	recipient TEXT NOT NULL,
	content_type TEXT NOT NULL,
	body BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
CREATE INDEX messages_by_recipient ON messages (recipient, id);
