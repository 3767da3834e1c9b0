"""A document's file in, batches of its chunks out: parsed and chunked by one jailed process."""
