"""Is it PyTorch."""
