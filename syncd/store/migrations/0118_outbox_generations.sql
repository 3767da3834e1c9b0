-- How often an intent was noted again while it waited: what was written before the last time is not the end of it.
ALTER TABLE outbox ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
