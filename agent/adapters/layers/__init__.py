"""The layers of images, as folders on the engine's host."""
