-- Runs that did not simply end well, and documents of runs that were not simply indexed, are few among very many: they are listed by state
-- (unfinished runs every second, while somebody follows) without reading the others.
CREATE INDEX invocations_not_complete ON invocations (state, seq) WHERE state <> 'complete';
CREATE INDEX outcomes_not_indexed ON outcomes (invocation_id, state, key) WHERE state <> 'indexed';
