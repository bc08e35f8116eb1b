"""Names of images that mislead."""
