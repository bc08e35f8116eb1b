-- The images mounted in a container, as a JSON list of IDs: a name may mean another image by now. NULL: not known yet.
ALTER TABLE containers ADD COLUMN mounted TEXT;
