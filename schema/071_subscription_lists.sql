-- Subscriptions to lists (RFC 4662) are kept too: resource is the list's name.
ALTER TABLE subscriptions ADD COLUMN of_list INTEGER NOT NULL DEFAULT 0;
