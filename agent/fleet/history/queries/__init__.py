"""What the API reads from the database: one module for each topic, one statement for SQLite and PostgreSQL."""
