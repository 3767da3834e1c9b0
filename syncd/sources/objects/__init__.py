"""What sources of object stores share: limits, bodies, keys, and a source over any store that lists its objects by page.

S3 buckets use `transport`, `download`, `coding`, `endpoints` and `keys`, and do the rest themselves, since their events and metadata files
need more. A store that is read over plain HTTP implements `listing.ObjectStore` with an `http.HttpConnection`, and is done.
"""
