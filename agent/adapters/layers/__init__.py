"""Reads the layers of images, which are folders on the engine's host."""
