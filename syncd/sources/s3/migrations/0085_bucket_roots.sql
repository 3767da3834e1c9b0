-- Two buckets in one collection may have the same keys: see `other_prefix` of documents.
UPDATE sources SET id_root = json_extract(settings, '$.bucket_name') WHERE type = 's3';
UPDATE absent_sources SET id_root = json_extract(settings, '$.bucket_name') WHERE type = 's3';
