-- How the documents before a cursor were made: with another chunking, prompt or pipeline, all of them must be met again.

ALTER TABLE cursors ADD COLUMN recipe TEXT NOT NULL DEFAULT '';
