"""S3 buckets: `source` is the Source, `poller` brings their events, `setup` and `doctor` prepare what events need.

An event means "look at this key now": what is indexed is always the bucket's present state, never what an event says.
Which of a bucket's keys belong in which collection is decided by `placement` from what metadata files and invocations said.
"""
