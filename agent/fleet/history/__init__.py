"""The database of the monitor: every decision of every host, once. The only package that uses SQLAlchemy."""
