"""The state file, through sqlite3."""
