-- Who watches what: one row for each subscription of a phone (sip/notifier_store.c). Times are microseconds since 1970 UTC; `reserved` is above
-- every CSeq and version that has been used, so that both rise after a crash too.
CREATE TABLE subscriptions (
	id TEXT PRIMARY KEY,
	package TEXT NOT NULL,
	resource TEXT NOT NULL,
	event_id TEXT NOT NULL,
	watcher TEXT NOT NULL,
	device TEXT NOT NULL,
	content_type TEXT NOT NULL,
	call_id TEXT NOT NULL,
	local TEXT NOT NULL,
	local_tag TEXT NOT NULL,
	remote TEXT NOT NULL,
	remote_tag TEXT NOT NULL,
	remote_cseq INTEGER NOT NULL,
	target TEXT NOT NULL,
	route TEXT NOT NULL,
	received TEXT NOT NULL,
	transport TEXT NOT NULL,
	reserved INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
