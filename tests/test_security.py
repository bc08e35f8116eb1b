"""Every number in SECURITY.md is the one in force. Its table of calls is tested in tests/proxy."""

import re
from pathlib import Path

from agent.core.pytorch import version_file
from agent.reporting import collectors

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text()


def test_it_says_how_much_of_a_file_is_read() -> None:
    assert f"at most {version_file.MOST_BYTES // 1024} kB of it" in SECURITY


def test_it_says_how_often_everything_is_published_again() -> None:
    assert f"at most every {collectors.BETWEEN:.0f} seconds" in SECURITY


def test_what_it_links_to_is_there() -> None:
    assert all((ROOT / target).exists() for target in re.findall(r"\]\(([^)#:]+)", SECURITY))
