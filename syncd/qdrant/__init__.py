"""Qdrant: a client of a server of yours. Imported only by a daemon that is configured for it; needs the extra `qdrant`."""
