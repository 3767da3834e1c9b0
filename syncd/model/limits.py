"""Bounds that several layers keep."""

MAX_DOCUMENT_SIZE_BYTES = 200 << 20
"""The largest document there may be, wherever it comes from; published for uploads."""
