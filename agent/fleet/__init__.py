"""Shows the whole fleet in one place: folds the messages of all agents into one view."""
