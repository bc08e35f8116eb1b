"""Makes plans from the usage, and carries them out. Each removal is checked again just before it."""
