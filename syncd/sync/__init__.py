"""Runs from their trigger to their end: triggers, the Syncer, and one run of one source."""
