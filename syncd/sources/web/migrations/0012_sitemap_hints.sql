-- When a sitemap says that a page was modified last, for pages that only sitemaps led to.

ALTER TABLE frontier ADD COLUMN claimed_at REAL NOT NULL DEFAULT 0;
