"""Is it PyTorch, measured: on the project's own fixtures, or on any corpus of images."""
