"""S3 buckets: `source` is the Source, `poller` brings their events, `setup` and `doctor` prepare what events need.

An event means "check this key now": what is indexed is always the bucket's current state, never the event's content.
`assignment` decides from metadata files and invocations which of a bucket's keys belong in which collection.
"""
