"""Bytes to Markdown, in processes that can be lost: read pool.py, then readers.py."""
