"""Tests of the recognition of PyTorch."""
