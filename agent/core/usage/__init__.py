"""When an image was last used, and whether a use may have been missed."""
