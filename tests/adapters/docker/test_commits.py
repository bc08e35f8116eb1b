"""How an image by `docker commit` is distinguished from one of a builder, and from an import."""

from typing import Any

import pytest

from agent.adapters.docker.commits import may_be_commit
from tests.support.builders import make_id

PARENT = make_id("parent")
SHELL = "/bin/sh -c pip install torch"
STEP: dict[str, Any] = {"Parent": PARENT, "Config": {"Image": PARENT, "Hostname": "", "Cmd": ["python"]}}
COMMIT: dict[str, Any] = {
    "Parent": PARENT,
    "Config": {"Image": "base:1", "Hostname": "c10f6a192983", "Cmd": ["python"]},
}
ON_CONTAINERD: dict[str, Any] = {"Parent": PARENT, "Config": {"Image": "", "Hostname": "", "Cmd": ["python"]}}
ROOT: dict[str, Any] = {"Parent": "", "Config": {"Image": "", "Hostname": "", "Cmd": ["python"]}}
NOP = "/bin/sh -c #(nop)  ENV A=1"

CASES = [
    ("a RUN of the classic builder", STEP, SHELL, "", False),
    ("a RUN that the containerd store tells nothing of", ON_CONTAINERD, SHELL, "", True),
    ("a RUN of an API that no longer tells", {"Parent": PARENT, "Config": {"Cmd": ["python"]}}, SHELL, "", True),
    ("a RUN on top of a commit, whose host name it has", {**STEP, "Config": {**STEP["Config"], "Hostname": "c1"}},
     SHELL, "", True),
    ("a RUN of the image's own command", {**STEP, "Config": {**STEP["Config"], "Cmd": ["/bin/sh", "-c", "x"]}},
     "/bin/sh -c x", "", True),
    ("a step of the classic builder that ran nothing", STEP, NOP, "", False),
    ("the same on the containerd store", ON_CONTAINERD, NOP, "", False),
    ("the same by a shell of its own", STEP, "bash -o pipefail -c #(nop) COPY file:1 in /a ", "", False),
    ("a RUN of BuildKit", ROOT, "RUN /bin/sh -c true # buildkit", "buildkit.dockerfile.v0", False),
    ("a COPY of BuildKit", ROOT, "COPY . . # buildkit", "buildkit.dockerfile.v0", False),
    ("a RUN of another builder that writes instructions", ROOT, "RUN pip install torch", "", False),
    ("a word that only begins like an instruction", ROOT, "RUNNER go", "", True),
    ("an import", ROOT, "", "Imported from -", False),
    ("an import with a message of its own", ROOT, "", "from the lab", True),
    ("a squashed build", ROOT, "", f"merge {PARENT} to {PARENT}", True),
    ("a commit", COMMIT, "python", "", True),
    ("a commit on the containerd store", ON_CONTAINERD, "python", "", True),
    ("a commit with a message", COMMIT, "python", "my work", True),
    ("a commit of a shell's command", COMMIT, SHELL, "", True),
    ("a commit of a shell's command, its CMD set by --change", ON_CONTAINERD, SHELL, "", True),
    ("a commit by the ID of its image", {**STEP, "Config": {**STEP["Config"], "Hostname": "c10f6a192983"}}, SHELL, "",
     True),
    ("a commit of a container without a command", COMMIT, "", "", True),
    ("a commit that says that it was imported", COMMIT, "", "Imported from -", True),
    ("a commit whose command looks like a step", {**COMMIT, "Config": {"Cmd": ["sh", "-c", "#(nop) x"]}},
     "sh -c #(nop) x", "", True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "inspected", "line", "comment", "expected"), CASES, ids=[case[0] for case in CASES])
def test_an_image_may_be_a_commit_unless_something_shows_that_it_is_not(
    what: str, inspected: dict[str, Any], line: str, comment: str, expected: bool
) -> None:
    history = [{"CreatedBy": line, "Comment": comment}, {"CreatedBy": NOP, "Comment": ""}]
    assert may_be_commit(inspected, history) is expected


def test_without_a_history_nothing_shows_that_it_is_not_a_commit() -> None:
    assert may_be_commit({}, [])
    assert may_be_commit({"Config": None}, [{"CreatedBy": None, "Comment": None}])
