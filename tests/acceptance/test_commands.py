"""What an operator types beside a running agent, and without one."""

import re
import time
from collections import Counter
from datetime import UTC, datetime

from agent.core.policy.decision import Reason
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost, age, now, seconds_between
from tests.support import engines, images, proc, registry

ROW = {
    "id",
    "references",
    "action",
    "reason",
    "held_by",
    "explanation",
    "class",
    "torch_version",
    "accelerator",
    "last_used",
    "idle_since",
    "deadline",
    "size_bytes",
    "estimated_bytes",
}


def test_check_finds_nothing_wrong_with_any_engine(lone_host: RealHost) -> None:
    lone_host.plain("team/web:1")
    version = lone_host.engine.api("GET", "/version")[1]["Version"]
    code, found = lone_host.checks()
    assert (code, f"Docker {version}, API 1." in found["engine"]["detail"]) == (0, True)


@engines.ON_BOTH_ENDS
def test_plan_gives_every_image_of_the_engine_a_reason_and_its_counts_add_up(lone_host: RealHost) -> None:
    host = lone_host
    host.torch("team/train:1")
    host.plain("team/web:1")
    images.build_child(host.engine, "team/web:1", "team/built:1", lines=["ENV A=1", "ENV B=2", "COPY payload /x"])
    host.configure(policy={"ttl": "1h"})
    asked = now()
    document = host.json("plan")
    rows, totals = document["images"], document["totals"]
    assert {row["id"] for row in rows} == {row["Id"] for row in host.engine.images()}
    assert len(rows) == 5  # two of them untagged steps of the build
    assert all(row.keys() >= ROW and row["explanation"] for row in rows)
    assert {row["reason"] for row in rows} <= {reason.value for reason in Reason}
    assert totals["reasons"] == Counter(row["reason"] for row in rows) == {"not-pytorch": 4, "recent": 1}
    assert (totals["images"], totals["keep"], totals["evict"]) == (5, 5, 0)
    assert document["host"] == NAME
    assert 0 <= age(document["at"]) <= age(asked)
    assert any("no agent has run here yet" in note for note in document["notes"])
    assert "2 untagged not shown" in host.output_of("plan")
    assert "untagged not shown" not in host.output_of("plan", "--all")


def test_images_shows_versions_bytes_and_state(lone_host: RealHost) -> None:
    lone_host.configure(policy={"ttl": "1h"})
    image = lone_host.torch("acme/pytorch:2.3.1-cuda12.1", version="2.3.1", env={"CUDA_VERSION": "12.1.0"}, size_mb=5)
    size, layers = lone_host.engine.images()[0]["Size"], lone_host.layer_bytes(image)
    document = lone_host.json("images")
    assert document.keys() >= {"at", "host", "images", "totals"}
    [row] = document["images"]
    facts = ("id", "references", "class", "torch_version", "accelerator", "size_bytes", "estimated_bytes", "reason")
    assert [row[key] for key in facts] == [
        *(image, ["acme/pytorch:2.3.1-cuda12.1"], "pytorch", "2.3.1", "cuda12.1", size, layers, "recent"),
    ]
    assert "2.3.1" in lone_host.output_of("images")


@engines.ON_ONE
def test_explain_shows_the_evidence_the_uses_the_rule_and_the_way_to_keep_it(lone_host: RealHost) -> None:
    lone_host.configure(policy={"ttl": "3h"})
    image = lone_host.torch("team/train:1")
    with lone_host.agent():
        images.run(lone_host.engine, "team/train:1", rm=True, name="last-run")
        proc.eventually(lambda: lone_host.row(image)["last_used"])
        printed = lone_host.output_of("explain", "team/train:1")
        assert lone_host.output_of("explain", image[7:19]).startswith("image team/train:1")
        document = lone_host.json("explain", "team/train:1")
        row = lone_host.row(image)
    assert document.keys() >= {*ROW, "evidence", "uses", "steps", "ignored_runs", "host"}
    assert {key: document[key] for key in row} == row | {"explanation": document["explanation"]}
    assert [(use["action"], use["by"]) for use in document["uses"]] == [
        (action, "last-run") for action in ("destroy", "die", "start", "create")
    ]
    assert document["uses"][0]["at"] == document["last_used"]
    answers = {step["reason"]: step["answer"] for step in document["steps"]}
    assert answers == dict.fromkeys(list(answers)[:-1], "no") | {"recent": document["explanation"]}
    expected = ("ENV PYTORCH_VERSION=2.4.0", "last-run", "TTL 3 h", "keep: recent", "torchkeeper pin team/train:1")
    assert [text for text in expected if text not in printed] == []
    unknown = lone_host.run("explain", "no/such:1")
    assert (unknown.returncode, "no image 'no/such:1' here" in unknown.stderr) == (1, True)


@engines.ON_ONE
def test_explain_shows_how_many_runs_were_ignored_and_by_which_pattern(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "3h"}, usage={"ignore_containers": ["trivy*", "*test*"]})
    host.torch("team/train:1")
    began = time.monotonic()
    with host.agent():
        for number in range(2):
            images.run(host.engine, "team/train:1", rm=True, name=f"trivy-{number}")
        proc.eventually(lambda: "ignored 2 runs since " in host.output_of("explain", "team/train:1"))
    printed = host.output_of("explain", "team/train:1")
    expected = ("not uses: 'trivy*' in usage.ignore_containers matches them", "last used never, as far as")
    assert [text for text in expected if text not in printed] == []
    assert "*test*" not in printed
    [counted] = host.json("explain", "team/train:1")["ignored_runs"]
    elapsed = time.monotonic() - began
    assert (counted["pattern"], counted["runs"], age(counted["last_at"]) < elapsed) == ("trivy*", 2, True)


@engines.ON_ONE
def test_a_pinned_image_stays_and_is_evicted_a_fresh_ttl_after_the_pin(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"rules": [{"match": "team/*", "ttl": "3s"}]})
    image = host.torch("team/pinned:1")
    assert host.output_of("pin", "team/pinned:1", "--reason", "for the paper") == "pinned team/pinned:1"
    with host.agent():
        proc.eventually(lambda: age(host.row(image)["deadline"]) > 0)
        host.evict_a_control_image()
        assert host.reasons() == {"team/pinned:1": "pinned"}
        assert "for the paper" in host.output_of("explain", "team/pinned:1")
        asked = time.monotonic()
        assert host.output_of("unpin", "team/pinned:1") == "unpinned team/pinned:1"
        host.await_gone(image)
        assert time.monotonic() - asked >= 3  # it is looked for every two seconds: at once would be sooner
    again = host.run("unpin", "team/pinned:1")
    assert (again.returncode, "no pin on 'team/pinned:1'" in again.stderr) == (1, True)


@engines.ON_ONE
def test_a_pin_for_a_while_ends_by_itself(lone_host: RealHost) -> None:
    image = lone_host.torch("team/pinned:1")
    asked = time.monotonic()
    assert lone_host.output_of("pin", image[7:19], "--for", "4s").startswith(f"pinned {image[7:19]} until")
    with lone_host.agent():
        lone_host.await_gone(image)
        assert time.monotonic() - asked >= 4


@engines.ON_ONE
def test_a_pause_keeps_what_is_due_until_resume(host: RealHost, collector: AcceptanceCollector) -> None:
    image = host.torch("team/idle:1")
    host.output_of("pause", "--reason", "a deadline")
    with host.agent():
        row = collector.await_image(NAME, image, lambda item: item["held_by"])
        assert (row["action"], row["reason"], row["held_by"]) == ("evict", "idle-ttl", "paused")
        assert "nothing is removed now: paused" in host.output_of("plan")
        assert host.has_image(image)
        assert host.output_of("resume") == "resumed"
        host.await_gone(image)


@engines.ON_ONE
def test_a_pause_for_a_while_ends_by_itself(lone_host: RealHost) -> None:
    image = lone_host.torch("team/idle:1")
    asked = time.monotonic()
    assert lone_host.output_of("pause", "--for", "4s").startswith("paused until 20")
    with lone_host.agent():
        lone_host.await_gone(image)
        assert time.monotonic() - asked >= 4


@engines.ON_ONE
def test_a_sweep_is_refused_while_an_agent_runs(lone_host: RealHost) -> None:
    with lone_host.agent():
        done = lone_host.run("sweep")
    assert (done.returncode, done.stdout) == (1, "")
    assert "an agent runs on" in done.stderr
    assert "torchkeeper plan" in done.stderr


@engines.ON_ONE
def test_a_second_agent_on_the_same_state_is_refused(lone_host: RealHost) -> None:
    with lone_host.agent():
        done = lone_host.run("run")
    assert done.returncode == 1
    assert "an agent runs on" in done.stderr


@engines.ON_BOTH_ENDS
def test_a_dry_sweep_changes_nothing_and_a_sweep_evicts(lone_host: RealHost) -> None:
    host = lone_host
    image, other = host.torch("team/idle:1"), host.plain("team/web:1")
    host.configure(policy={"ttl": "1h"})
    first = host.json("sweep")
    assert [row["outcome"] for row in first["images"]] == [None, None]
    host.configure(policy={"ttl": "1s"})
    proc.eventually(lambda: host.row(image)["action"] == "evict")
    before = (host.state / "state.db").read_bytes()
    dry = host.json("sweep", "--dry-run")
    assert {row["id"]: row["outcome"] for row in dry["images"]} == {image: "would-remove", other: None}
    assert ((host.state / "state.db").read_bytes(), host.has_image(image)) == (before, True)
    assert host.json("history")["events"] == []
    done = host.json("sweep")
    assert {row["id"]: row["outcome"] for row in done["images"]} == {image: "removed", other: None}
    assert [row["Id"] for row in host.engine.images()] == [other]
    kinds = [event["type"].partition(".")[2] for event in host.json("history")["events"]]
    assert kinds == ["decision", "outcome", "sweep"]


def test_a_pulled_image_is_evicted_with_a_hint_to_pull_it_again_and_an_imported_one_stays(
    lone_host: RealHost, loopback_registry: registry.Registry
) -> None:
    host = lone_host
    host.configure(policy={"local_images": "keep", "ttl": "2s"})
    ref = f"{loopback_registry.name}/team/pulled:1"
    image = host.torch(ref)
    host.engine.docker("push", ref)
    host.engine.docker("image", "rm", ref)
    host.torch("team/imported:1")
    started = datetime.now(UTC).isoformat()
    with host.agent():
        pulled = re.search(r"^Digest: (\S+)$", host.engine.docker("pull", ref), re.MULTILINE)
        host.await_gone(image)
        proc.eventually(lambda: len(host.json("history")["events"]) >= 2)
    assert host.reasons() == {"team/imported:1": "local-only"}
    assert pulled is not None
    digest = f"{ref.removesuffix(':1')}@{pulled[1]}"
    document = host.json("history")
    assert document["host"] == NAME
    assert [event["subject"] for event in document["events"][:2]] == [image, image]
    assert all(seconds_between(started, event["time"]) > 0 for event in document["events"])
    [undo] = [line for line in host.run("history").stdout.splitlines() if "docker pull" in line]
    assert undo == f"  docker pull {digest} && docker tag {digest} {ref}"
    for step in undo.strip().split(" && "):
        host.engine.docker(*step.split()[1:])
    assert images.image_id(host.engine, ref) == image
    assert "nothing was decided" in host.output_of("history", "--since", "1ms")
