"""The reading of shell programs."""
