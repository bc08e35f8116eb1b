"""One agent: how it is built, run and stopped."""
