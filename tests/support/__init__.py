"""Real parts for tests: a private engine, broker and registry, images for them, and the installed command."""
