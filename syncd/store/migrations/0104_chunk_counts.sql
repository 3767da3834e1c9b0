-- Chunks are counted by a small index: `chunks` itself has the texts in it, and reading through them takes seconds where there are
-- many.

CREATE INDEX chunks_by_document ON chunks (document_id);
