"""The fleet, seen from one place: what all agents publish, folded into one view."""
