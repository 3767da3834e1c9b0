-- A collection whose `rebuilding` is set is being filled from the store, page by page. `chroma_id` is the one being filled
-- (NULL: the old one is to be deleted first); these say up to which chunk it holds everything, to go on from there.

ALTER TABLE collections ADD COLUMN refilled_document INTEGER NOT NULL DEFAULT 0;
ALTER TABLE collections ADD COLUMN refilled_number INTEGER NOT NULL DEFAULT -1;
