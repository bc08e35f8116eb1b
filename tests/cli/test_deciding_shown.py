"""The sign that decides, as people and programs see it: in `plan`, `explain` and the JSON documents."""

import io
from datetime import timedelta

from rich.console import Console, RenderableType

from agent.cli import documents, explanation, tables
from agent.core.policy.decision import Decision
from agent.core.policy.settings import Policy
from tests.support.builders import NOW, decide, only_decision, pulled_image, pytorch_image

LONG = "corp/" + "long-name-" * 9 + "/pytorch:2.9-cuda12.6"


def printed(content: RenderableType) -> list[str]:
    """What a pipe gets."""
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(content)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def explained(item: Decision, policy: Policy | None = None) -> dict[str, list[str]]:
    facts = explanation.Facts(at=NOW, decision=item, uses=(), ignored=(), containers=())
    rows: dict[str, list[str]] = {}
    for line in printed(explanation.render(facts, policy or Policy())):
        head, _, body = line.partition("  ")
        rows.setdefault(head, []).append(body.strip())
    return rows


def test_a_plan_names_the_sign_of_each_eviction_and_of_nothing_else() -> None:
    plan = decide(pytorch_image("a", "corp/app:1"), pytorch_image("b", "corp/app:latest"), pulled_image("web"))
    shown = [line.strip() for line in printed(tables.plan(plan)) if "PyTorch:" in line]
    assert shown == ["PyTorch: ENV PYTORCH_VERSION=2.9.0"]


def test_a_plan_with_a_long_sign_is_plain_and_fits_80_columns() -> None:
    lines = printed(tables.plan(decide(pulled_image("a", LONG))))
    assert any("PyTorch: named" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)


def test_the_documents_carry_it_beside_the_evidence() -> None:
    plan = decide(pytorch_image("a", "corp/app:1"), pulled_image("web"))
    rows = {row["references"][0]: row for row in documents.plan(plan, "gpu-07", ())["images"]}
    assert {name: (row["decided_by"], row["evidence"]) for name, row in rows.items()} == {
        "corp/app:1": ("ENV PYTORCH_VERSION=2.9.0", ["ENV PYTORCH_VERSION=2.9.0"]),
        "team/web:1": (None, []),
    }


def test_explain_says_what_decides_and_whether_it_stands_alone() -> None:
    alone, backed = decide(pytorch_image("a", "corp/app:1")), decide(pytorch_image("b", "corp/torch:1"))
    assert explained(only_decision(alone))["decided by"] == ["ENV PYTORCH_VERSION=2.9.0 alone"]
    assert explained(only_decision(backed))["decided by"] == ["ENV PYTORCH_VERSION=2.9.0"]
    assert "decided by" not in explained(only_decision(decide(pulled_image("web"))))


def test_explain_says_which_name_reports_no_version_where_keep_newest_is_set() -> None:
    policy = Policy(keep_newest=2, ttl=timedelta(days=1000))
    item = only_decision(decide(pytorch_image("a", "aws/vllm:server-cuda-v2"), rules=policy))
    note = "aws/vllm:server-cuda-v2 names no version: keep_newest = 2 orders by build time"
    assert " ".join(explained(item, policy)["note"]).startswith(note[:60])
    assert "note" not in explained(item, Policy())
    document = documents.explain(item, (), (), NOW, "gpu-07", ())
    assert document["without_version"] == ["aws/vllm:server-cuda-v2"]
