-- How often a run met a bug: it is tried again, but not without end, however often the daemon is started in between.

ALTER TABLE invocations ADD COLUMN bugs INTEGER NOT NULL DEFAULT 0;
