-- What a page's document was called and carried, so that an unchanged page is named exactly as before without reading it;
-- and why the last visit gave nothing, where it did not.

ALTER TABLE pages ADD COLUMN suffix TEXT NOT NULL DEFAULT '';
ALTER TABLE pages ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE pages ADD COLUMN reason TEXT NOT NULL DEFAULT '';
