"""Is it PyTorch: the signs that an image gives, and the verdict on them."""
