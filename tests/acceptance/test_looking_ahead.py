"""Commands that look ahead: totals, the future, another policy, images kept by stopped containers, explanations."""

import hashlib
from datetime import timedelta

import pytest

from tests.acceptance import without_engine_folder
from tests.acceptance.host import RealHost, seconds_between
from tests.support import engines, images, proc

pytestmark = engines.ON_ONE


def _state(host: RealHost) -> dict[str, str]:
    """Each file of the state that is not empty -> its content; without SQLite's index, which is not content."""
    files = (path for path in host.state.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.stat().st_size}


def test_plan_shows_totals_and_deadlines_and_looks_ahead_without_changing_anything(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "3h", "rules": [{"match": "team/long:*", "ttl": "30d"}]})
    soon, long = host.torch("team/soon:1", size_mb=6), host.torch("team/long:1", size_mb=3)
    host.torch("team/train:stable", size_mb=4)
    host.plain("team/web:1")
    host.json("sweep")
    before = _state(host)
    now, later, other = host.json("plan"), host.json("plan", "--at", "7d"), host.json("plan", "--ttl", "1s")
    printed = [host.run("plan", *args) for args in ((), ("--at", "7d"), ("--ttl", "1s"))]
    assert (_state(host), host.json("history")["events"]) == (before, [])
    assert now["totals"]["reasons"] == {"not-pytorch": 1, "protected-tag": 1, "recent": 2}
    assert now["totals"]["bytes"] == _bytes(host, {"not-pytorch": 1, "protected-tag": 4, "recent": 9})
    assert [row["references"] for row in now["next"]] == [["team/soon:1"], ["team/long:1"]]
    assert seconds_between(now["at"], now["next"][0]["due"]) == pytest.approx(3 * 3600, abs=60)
    assert seconds_between(now["at"], later["at"]) == pytest.approx(timedelta(days=7).total_seconds(), abs=60)
    for ahead in (later, other):
        assert {row["id"] for row in ahead["images"] if row["reason"] == "idle-ttl"} == {soon}
        assert [row["id"] for row in ahead["next"]] == [long]
        assert ahead["totals"]["estimated_bytes"] == ahead["totals"]["bytes"]["idle-ttl"]
    assert "if nothing is used until then" in later["notes"][0]
    assert "by a policy.ttl of 1 s" in other["notes"][0]
    assert [(done.returncode, "\x1b" in done.stdout, " \n" in done.stdout) for done in printed] == [
        (0, False, False)
    ] * 3
    lines = [" ".join(line.split()) for line in printed[0].stdout.splitlines()]
    assert "4 images, 0 to evict, about 0 B to free" in lines
    assert {"not-pytorch 1 3.0 MB", "protected-tag 1 6.0 MB", "recent 2 13.0 MB"} <= set(lines)
    assert [line.partition(", in ")[2].split(":", 1)[1] for line in lines if line.startswith("next, in ")] == [
        " team/soon:1",
        " team/long:1",
    ]
    assert all("idle-ttl 1 8.0 MB" in " ".join(done.stdout.split()) for done in printed[1:])


def _bytes(host: RealHost, megabytes: dict[str, int]) -> object:
    return pytest.approx({key: size * images.MB for key, size in megabytes.items()}, abs=4.1 * images.MB)


def test_looking_ahead_takes_a_duration_and_nothing_else(lone_host: RealHost) -> None:
    wrong = [
        (lone_host.run("plan", "--at", "soon"), "--at: 'soon' is not a duration"),
        (lone_host.run("plan", "--ttl", "0s"), "--ttl: must be longer than 0"),
    ]
    assert [(done.returncode, done.stdout, text in done.stderr) for done, text in wrong] == [(2, "", True)] * 2


def test_stopped_containers_that_hold_images_are_named_oldest_first_with_what_frees_them(lone_host: RealHost) -> None:
    host, engine = lone_host, lone_host.engine
    sizes = {host.torch("team/old:1", size_mb=8): 10, host.torch("team/new:1", size_mb=3): 5}
    old, new = sizes
    host.torch("team/busy:1")
    host.plain("team/web:1")
    images.run(engine, "team/old:1", name="a-second-run")
    images.run(engine, "team/new:1", name="z-old-run")
    images.run(engine, "team/old:1", name="m-new-run")
    engine.docker("start", "--attach", "a-second-run")  # the end of its last run counts, not its creation
    images.run(engine, "team/busy:1", name="stopped-beside-one-that-runs")
    images.run(engine, "team/busy:1", "sleep", "300", detach=True)
    images.run(engine, "team/web:1", name="not-pytorch")
    document, printed = host.json("plan"), host.output_of("plan")
    code, found = host.checks()
    stopped = document["stopped"]
    assert [(row["containers"], row["image"], row["command"]) for row in stopped] == [
        (["z-old-run"], new, "docker rm z-old-run"),
        (["m-new-run", "a-second-run"], old, "docker rm m-new-run a-second-run"),
    ]
    assert [row["estimated_bytes"] / images.MB for row in stopped] == pytest.approx([5, 10], abs=0.1)
    assert all(seconds_between(row["since"], document["at"]) > 0 for row in stopped)
    assert sorted(row["since"] for row in stopped) == [row["since"] for row in stopped]
    assert printed.index("docker rm z-old-run") < printed.index("docker rm m-new-run a-second-run")
    assert "5.0 MB team/new:1 docker rm z-old-run" in printed
    assert (code, found["containers"]["ok"]) == (0, True)
    assert "3 stopped containers hold 2 PyTorch image(s), about 15" in found["containers"]["detail"]
    assert "the oldest: z-old-run, m-new-run, a-second-run" in found["containers"]["detail"]
    assert found["containers"]["hint"].endswith("docker rm z-old-run m-new-run a-second-run")


def test_explain_shows_the_whole_story_by_reference_id_and_prefix(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "3h", "rules": [{"match": "team/train:*", "ttl": "30d"}]})
    image = host.torch("team/train:1", size_mb=5, env={"CUDA_VERSION": "12.1.0"})
    with host.agent():
        images.run(host.engine, "team/train:1", rm=True, name="last-run")
        proc.eventually(lambda: host.row(image)["last_used"])
    stories = [host.output_of("explain", name) for name in ("team/train:1", image, image[7:19], "team/tr")]
    for story in stories:
        assert _missing(story, f"image team/train:1 id {image[:40]}", "class pytorch (torch 2.4.0, cuda12.1)") == []
        assert (
            _missing(story, "evidence ENV PYTORCH_VERSION=2.4.0", "by last-run", "TTL 30 d, by the rule for team") == []
        )
        assert _missing(story, "decision keep: recent", "due in 29 d 23 h", "frees about 7.0 MB: its whole size") == []
        assert _missing(story, "next will be removed 20", "UTC (in 29 d 23 h), unless it is used before") == []
        assert _missing(story, "to keep it torchkeeper pin team/train:1", "to remove it give it a shorter TTL") == []


def _missing(printed: str, *parts: str) -> list[str]:
    return [part for part in parts if part not in printed]


def test_explain_lists_the_candidates_of_an_ambiguous_prefix_and_says_what_it_does_not_know(
    lone_host: RealHost,
) -> None:
    host = lone_host
    refs = {host.torch(f"team/many:{number}"): f"team/many:{number}" for number in range(17)}
    digits = [image[7] for image in refs]
    first = max(digits, key=digits.count)
    several, unknown = host.run("explain", first), host.run("explain", "team/none:1")
    candidates = {image: ref for image, ref in refs.items() if image[7] == first}
    assert (several.returncode, several.stdout) == (1, "")
    assert f"{first!r} is ambiguous: " in several.stderr
    assert all(f"{image[7:19]} ({ref})" in several.stderr for image, ref in candidates.items())
    assert several.stderr.count("team/many:") == len(candidates)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no image 'team/none:1' here. Did you mean team/many:" in unknown.stderr
    assert "? `torchkeeper images --all` lists them" in unknown.stderr


def test_check_fails_on_rules_that_have_no_effect_and_warns_of_pins_that_have_none_now(lone_host: RealHost) -> None:
    host = lone_host
    host.torch("team/gone:1")
    host.torch("team/here:1")
    host.output_of("pin", "team/gone:1")
    host.output_of("pin", "team/here:1")
    host.engine.docker("image", "rm", "team/gone:1")
    rules = [{"match": match, "ttl": "30d"} for match in ("docker.io/team/*", "team/Train:*", "team/here:*")]
    host.configure(policy={"rules": rules}, images={"exclude": ["team/train@sha256:*", "team/train:1@sha256:*"]})
    code, found = host.checks()
    assert (code, [name for name, item in found.items() if not item["ok"]]) == (1, ["configuration"])
    assert found["configuration"]["detail"].endswith("3 pattern(s) can never match")
    assert found["configuration"]["hint"].split("; ") == [
        "images.exclude: 'team/train:1@sha256:*' can match no image: a digest reference has no tag: write "
        "team/train@sha256:*",
        "policy.rules.match: 'docker.io/team/*' can match no image: the engine lists such images without docker.io/",
        "policy.rules.match: 'team/Train:*' can match no image: repositories are written in lower case",
    ]
    assert found["pins"]["detail"] == "2 pinned; no such image is here: team/gone:1"
    assert found["pins"]["hint"].endswith("torchkeeper unpin team/gone:1")


def test_check_says_where_pressure_has_no_effect_for_the_engines_directory_cannot_be_seen(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(pressure={"high": "90%", "low": "80%"})
    assert host.checks()[1]["disk"]["ok"]
    done = without_engine_folder.run(host, "check")
    printed = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "disk FAILED the engine's directory cannot be seen from here" in printed
    assert "pressure.high has no effect -> mount" in printed
    assert "or set pressure.budget" in printed


@pytest.mark.parametrize(
    ("section", "keys", "named"),
    [
        ("pressure", {"high": "75%", "low": "85%"}, "pressure.low: 85% is not below high, 75%"),
        ("pressure", {"high": "85%", "low": "85%"}, "pressure.low: 85% is not below high, 85%"),
        ("pressure", {"high": "85%"}, "pressure.low: is missing"),
        ("pressure", {"budget": "0GB"}, "pressure.budget: must be more than 0 bytes"),
        (
            "schedule",
            {"windows": ["Mon-Fri 02:00-02:00"]},
            "schedule.windows: the 1st entry: 'Mon-Fri 02:00-02:00' is not a window",
        ),
        ("schedule", {"timezone": "Mars/Base"}, "schedule.timezone: 'Mars/Base' is not a time zone known here"),
        (
            "images",
            {"exclude": ["a/*", "*"]},
            "images.exclude: the 2nd entry: '*' matches every image, so none would ever be evicted",
        ),
        (
            "images",
            {"exclude": ["*:*"]},
            "images.exclude: the 1st entry: '*:*' matches every image, so none would ever be evicted",
        ),
    ],
)
def test_bad_input_is_named_and_evicts_nothing(
    lone_host: RealHost, section: str, keys: dict[str, object], named: str
) -> None:
    lone_host.configure(**{section: keys})
    done = lone_host.run("sweep")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{lone_host.config}: {named}" in done.stderr
