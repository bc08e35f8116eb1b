"""The Docker Engine, through aiodocker."""
