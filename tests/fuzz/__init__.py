"""Fuzzing: whatever comes from outside is read, or refused as documented. `make fuzz`."""
