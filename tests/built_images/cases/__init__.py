"""Everything that is built, by name."""

from tests.built_images.case import Case
from tests.built_images.cases import (
    branches,
    combined,
    failures,
    limits,
    only_written,
    places,
    removals,
    shells,
    stages,
    teams,
    teams_cleanup,
    teams_hints,
    teams_places,
    teams_removals,
    teams_shells,
    tools,
    values,
    without_effect,
)

TABLES: dict[str, dict[str, Case]] = {
    "branch": branches.CASES,
    "combined": combined.CASES,
    "failure": failures.CASES,
    "limit": limits.CASES,
    "only written": only_written.CASES,
    "place": places.CASES,
    "removal": removals.CASES,
    "shell": shells.CASES,
    "stage": stages.CASES,
    "team": teams.CASES,
    "team cleans up": teams_cleanup.CASES,
    "team hints": teams_hints.CASES,
    "team places": teams_places.CASES,
    "team removes": teams_removals.CASES,
    "team shells": teams_shells.CASES,
    "tool": tools.CASES,
    "value": values.CASES,
    "without effect": without_effect.CASES,
}
CASES = {f"{table}: {name}": case for table, cases in TABLES.items() for name, case in cases.items()}
