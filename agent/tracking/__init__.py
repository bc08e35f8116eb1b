"""Turns Docker's events and listings into usage, and commits it together with the cursor."""
