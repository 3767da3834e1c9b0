-- What waits for each kind of slot, by source in the order of urgency, and when the next of it comes due, without a look at all of it.
ALTER TABLE invocations ADD COLUMN slot_kind TEXT GENERATED ALWAYS AS (
    CASE WHEN NOT json_valid(request) THEN 'whole'
    WHEN json_extract(request, '$.file') IS NOT NULL THEN 'upload'
    WHEN json_extract(request, '$.object_key') IS NOT NULL THEN 'object'
    ELSE 'whole' END
) VIRTUAL;
DROP INDEX invocations_due;
CREATE INDEX invocations_in_turn ON invocations (slot_kind, priority, source_id, not_before) WHERE state IN ('pending', 'processing');
CREATE INDEX invocations_of_source_in_turn ON invocations (slot_kind, source_id, priority, seq) WHERE state IN ('pending', 'processing');
CREATE INDEX invocations_coming_due ON invocations (not_before) WHERE state IN ('pending', 'processing');
