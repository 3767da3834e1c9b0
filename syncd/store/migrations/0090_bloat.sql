-- How many rows were deleted from a collection since the vector store made it. Chroma never gives their space back, so the
-- share of rows that are still there says how much a rebuild would free.

ALTER TABLE collections ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
