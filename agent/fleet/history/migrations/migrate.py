"""Brings the tables of a database to the version of this program, in the caller's transaction."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from agent.fleet.history.migrations import HEAD
from agent.fleet.history.tables import metadata


def script() -> ScriptDirectory:
    folder = Path(__file__).parent
    return ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])


def upgrade(connection: Connection) -> None:
    """Run the versions that the database lacks."""
    versions = script()

    def steps(current: object, _context: MigrationContext) -> list[RevisionStep]:
        return versions._upgrade_revs(HEAD, current)  # type: ignore[arg-type]

    with EnvironmentContext(Config(), versions, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata)
        environment.run_migrations()
