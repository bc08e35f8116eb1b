"""Measure the recognition of PyTorch, on the project's own fixtures or on any corpus of images."""
