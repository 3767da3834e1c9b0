-- CRC-32 of what a prepared document says of itself, of each of its chunks (what the model sees, then vector key and metadata) and of
-- their postings' vectors. NULL: from before, unknown.
ALTER TABLE prepared ADD COLUMN checksum INTEGER;
ALTER TABLE prepared_chunks ADD COLUMN checksum INTEGER;
ALTER TABLE prepared_chunks ADD COLUMN lineage_checksum INTEGER;
ALTER TABLE prepared_chunks ADD COLUMN posting_checksum INTEGER;
