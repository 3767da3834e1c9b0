-- What waits, by source in the order of urgency, and when the next of it comes due, without a look at all of it.
DROP INDEX invocations_due;
CREATE INDEX invocations_in_turn ON invocations (priority, source_id, not_before) WHERE state IN ('pending', 'processing');
CREATE INDEX invocations_coming_due ON invocations (not_before) WHERE state IN ('pending', 'processing');
