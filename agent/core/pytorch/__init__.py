"""Decide whether an image contains PyTorch: collect its signs and judge them."""
