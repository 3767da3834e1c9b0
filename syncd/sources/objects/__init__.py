"""What sources of object stores share: limits, bodies, keys, and a source over any store that lists its objects by page.

S3 buckets use `transport`, `download`, `coding`, `endpoints`, `keys` and all that concerns events (from `queues` on), and do the rest themselves, since their
metadata files need more. A store that is read over plain HTTP implements `listing.ObjectStore` with an `http.HttpConnection`, and
`event_queue.EventQueue` for its events, and is done.
"""
