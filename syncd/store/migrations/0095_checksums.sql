-- CRC-32 of what the model sees of a chunk, and of a vector's bytes: damage is found before it is written anywhere else. NULL: from
-- before, unknown. -1: the vector is damaged, and wanted anew.

ALTER TABLE chunks ADD COLUMN checksum INTEGER;
ALTER TABLE vectors ADD COLUMN checksum INTEGER;
