"""From what asks for a run to its end: triggers, the Syncer, and one run of one source."""
