"""Values, and the fold over them: records, events, the state, and recall. Still pure: no clock, no I/O."""
