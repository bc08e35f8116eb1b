"""The versions of the tables. A released one is never changed: the next change is another file in `versions/`."""

REVISIONS = ("0001",)  # all, in order; known without Alembic, which is loaded only where a database is behind
HEAD = REVISIONS[-1]
