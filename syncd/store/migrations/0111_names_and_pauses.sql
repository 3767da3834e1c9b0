-- What a source made through the API is called, if it is; `name` is that of a declared one, of which there is one in all databases.
ALTER TABLE sources ADD COLUMN given_name TEXT;
CREATE UNIQUE INDEX sources_by_given_name ON sources (database, given_name) WHERE given_name IS NOT NULL;

-- Since when nothing is done of what is asked of a source; it is kept.
ALTER TABLE sources ADD COLUMN paused_at REAL;
CREATE INDEX sources_paused ON sources (id) WHERE paused_at IS NOT NULL;
