-- Settings that no file pins. A revision is one change by one person; old and new values tell what it did and let it be undone.
-- A value is the text a person would type; sealed ones are secrets (pbx/secrets.h, context "settings." and the path).
CREATE TABLE settings_revisions (
	revision INTEGER PRIMARY KEY,
	made_at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	undoes INTEGER
);

-- NULL: the path had, or has now, its default.
CREATE TABLE settings_changes (
	revision INTEGER NOT NULL,
	path TEXT NOT NULL,
	old_value TEXT,
	new_value TEXT,
	sealed INTEGER NOT NULL,
	PRIMARY KEY (revision, path)
);

-- What holds now.
CREATE TABLE settings_values (
	path TEXT PRIMARY KEY,
	value TEXT NOT NULL,
	sealed INTEGER NOT NULL,
	revision INTEGER NOT NULL
);
