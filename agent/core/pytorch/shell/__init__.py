"""Follow a shell program to find out which commands certainly ran, and whether they installed torch."""
