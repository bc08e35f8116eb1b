"""Docker's events and listings become usage, committed together with the cursor."""
