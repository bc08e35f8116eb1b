"""The present state of the fleet in memory, one row for each host. Pure."""
