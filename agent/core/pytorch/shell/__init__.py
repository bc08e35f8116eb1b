"""A shell program and what it surely ran: its words, its tree, its values, and the commands that install torch."""
