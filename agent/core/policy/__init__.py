"""Which images may be evicted, when, and why."""
