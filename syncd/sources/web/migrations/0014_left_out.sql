-- Links of a page that are not followed, with why, as a JSON array of pairs: listed again while the page does not change.

ALTER TABLE pages ADD COLUMN refused TEXT NOT NULL DEFAULT '[]';
