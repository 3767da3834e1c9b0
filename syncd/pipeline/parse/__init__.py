"""Converts documents to Markdown, in sandboxed processes: start with readers.py, then sniff.py and task.py."""
