"""What an image is called and made of."""
