-- Seconds since boot in which the machine was not suspended, at alive_at. NULL: not noted.
ALTER TABLE engines ADD COLUMN alive_awake REAL;

-- Whether the agent was asked to stop says nothing about when the engine ended.
ALTER TABLE engines DROP COLUMN stopped;
