-- What tokens may do, and until when.
ALTER TABLE tokens ADD COLUMN access TEXT NOT NULL DEFAULT 'write' CHECK (access IN ('read', 'write'));
-- NULL: never.
ALTER TABLE tokens ADD COLUMN expires_at REAL;
