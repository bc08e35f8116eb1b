"""Find image names that mislead."""
