"""Receives the events of all hosts, stores each once, and acknowledges them."""
