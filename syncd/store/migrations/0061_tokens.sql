-- What the vectors that are still missing will cost, counted by the model's own tokenizer.

-- NULL: not counted yet. A text that several chunks have is computed once, and counts in one of them.
ALTER TABLE prepared_chunks ADD COLUMN tokens INTEGER;
-- Of the wanted chunks that are counted: their tokens, and the bytes of their texts (the others' are wanted_bytes - counted_bytes).
ALTER TABLE prepared ADD COLUMN wanted_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE prepared ADD COLUMN counted_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX prepared_uncounted ON prepared (model, id) WHERE counted_bytes < wanted_bytes;
