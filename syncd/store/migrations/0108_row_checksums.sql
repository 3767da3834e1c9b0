-- CRC-32 of what else of a chunk goes into the vector store (vector key and metadata), of a document's row, of a posting's vector and
-- of a cursor. NULL: unknown; chunks and documents get theirs when they are next written or verified.
ALTER TABLE chunks ADD COLUMN lineage_checksum INTEGER;
ALTER TABLE documents ADD COLUMN checksum INTEGER;
ALTER TABLE postings ADD COLUMN checksum INTEGER;
ALTER TABLE cursors ADD COLUMN checksum INTEGER;

-- Whoever changes a document without its checksum leaves it unknown, not wrong.
CREATE TRIGGER documents_lose_their_checksum
AFTER UPDATE OF collection_id, source_id, key, prefix, version, fingerprint, state, content_hash ON documents
WHEN NEW.checksum IS NOT NULL AND NEW.checksum IS OLD.checksum BEGIN
    UPDATE documents SET checksum = NULL WHERE id = NEW.id;
END;
