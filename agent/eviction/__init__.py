"""Usage becomes a plan, and a plan becomes removals, each checked again just before it."""
