"""SECURITY.md lists every call that the agent makes to Docker's socket, and every number in it is the one in force."""

import re
from pathlib import Path

from agent.core.pytorch import version_file
from agent.reporting import collectors

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text()


def calls_in_the_code() -> set[str]:
    """`METHOD /path` of each request in the Docker adapter, `{}` for what differs from call to call."""
    lines = [line for file in (ROOT / "agent/adapters/docker").glob("*.py") for line in file.read_text().splitlines()]
    found = set()
    for line in lines:
        path = re.search(r'\._(?:json|list|text|parsed|request|about)\([^"]*"([^"]+)"', line)
        if path is None:
            continue
        method = re.search(r'"(POST|DELETE|PUT|HEAD)"', line)
        found.add(f"{method[1] if method else 'GET'} /" + re.sub(r"{[^}]*}", "{}", path[1]))
    return found


def test_it_lists_the_calls_that_the_agent_makes() -> None:
    assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`]+)`", SECURITY)) == calls_in_the_code()


def test_it_says_how_much_of_a_file_is_read() -> None:
    assert f"at most {version_file.MOST_BYTES // 1024} kB of it" in SECURITY


def test_it_says_how_often_everything_is_published_again() -> None:
    assert f"at most every {collectors.BETWEEN:.0f} seconds" in SECURITY


def test_what_it_links_to_is_there() -> None:
    assert all((ROOT / target).exists() for target in re.findall(r"\]\(([^)#:]+)", SECURITY))
