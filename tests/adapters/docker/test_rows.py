"""The engine's JSON, in all the shapes that versions, labels and half answers give it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.adapters.docker import rows
from agent.adapters.docker.json_values import UNREADABLE
from agent.adapters.engine import EngineInfo, PulledTarget, Removed
from agent.core.model import Container, Details, HistoryStep, Image
from agent.core.pytorch import bounds
from agent.core.usage.events import EngineEvent

ID = "sha256:" + "a" * 64
CID = "c" * 64
DIGEST = "team/torch@sha256:" + "d" * 64
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event_line(**changes: Any) -> bytes:
    row = {
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": CID, "Attributes": {"image": "team/torch:1", "name": "box"}},
        "scope": "local",
        "time": 1,
        "timeNano": 1_000_000_007,
    }
    return json.dumps(row | changes).encode()


def image_line(action: str, **attributes: str) -> bytes:
    return event_line(Type="image", Action=action, Actor={"ID": ID, "Attributes": attributes})


# Events


def test_a_container_event_has_its_image_as_the_client_wrote_it() -> None:
    assert rows.event(event_line()) == EngineEvent(1_000_000_007, "container", "start", CID, "team/torch:1", "box")


def test_a_tag_event_has_its_reference() -> None:
    assert rows.event(image_line("tag", name="team/torch:1")) == EngineEvent(
        1_000_000_007, "image", "tag", ID, "", "team/torch:1"
    )


@pytest.mark.parametrize("action", ["delete", "pull", "load", "import", "create"])
def test_a_label_called_name_or_image_is_not_taken_for_a_reference(action: str) -> None:
    assert rows.event(image_line(action, name="evil:1", image="evil:2")) == EngineEvent(
        1_000_000_007, "image", action, ID
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"Type": "network"},
        {"Type": "volume", "Action": "create"},
        {"Type": "image", "Action": "push"},
        {"Action": "exec_create: sh -c true"},
        {"Action": "exec_die"},
        {"Action": "health_status: healthy"},
        {"Action": "rename"},
        {"Actor": {}},
        {"Actor": None},
        {"Actor": {"ID": ""}},
        {"Actor": {"ID": 7}},
        {"timeNano": "soon"},
        {"timeNano": -1},
        {"timeNano": 2**63},
        {"timeNano": 0, "time": 0},
        {"timeNano": 1e999},
        {"timeNano": None, "time": "12345678" * 1000},
        {"timeNano": None, "time": [1]},
        {"Type": None},
        {"Actor": {"ID": "x" * 2000}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_row_that_is_none_of_ours_is_passed_over(changes: dict[str, Any]) -> None:
    assert rows.event(event_line(**changes)) is None


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"{}", b"[" * 100_000])
def test_a_line_that_is_no_event_is_passed_over(line: bytes) -> None:
    assert rows.event(line) is None


@pytest.mark.parametrize("attributes", [None, ["image"], 7, {"image": 7, "name": ["x"]}])
def test_an_event_without_attributes_that_can_be_read_is_an_event(attributes: object) -> None:
    line = event_line(Actor={"ID": CID, "Attributes": attributes})
    assert rows.event(line) == EngineEvent(1_000_000_007, "container", "start", CID)


def test_names_and_labels_of_an_event_are_short_and_can_be_written() -> None:
    attributes = {"name": "\ud800" * 5, "image": "i" * 5000, "a": "b" * 5000, **{f"l{n}": "" for n in range(1000)}}
    found = rows.event(event_line(Actor={"ID": CID, "Attributes": attributes}))
    assert found is not None
    assert (found.name, len(found.image), found.image[-1]) == ("?????", 1000, "…")
    assert (len(found.labels["a"]), len(found.labels)) == (rows.LONGEST_LABEL, rows.MOST_LABELS)


def test_an_event_of_an_old_engine_has_whole_seconds() -> None:
    found = rows.event(event_line(timeNano=None, time=5))
    assert found is not None
    assert found.time_ns == 5 * 10**9


def test_the_ring_counts_all_rows_and_keeps_those_that_are_read() -> None:
    ring = rows.ring([event_line(Type="network", timeNano=3), b"", event_line(timeNano=5), b"rubbish"])
    assert ([event.time_ns for event in ring.events], ring.size, ring.oldest_ns) == ([5], 3, 3)


def test_an_empty_ring_has_no_oldest_row() -> None:
    ring = rows.ring([])
    assert (ring.events, ring.size, ring.oldest_ns) == ((), 0, 0)


def test_the_filter_asks_for_everything_that_is_read_and_for_no_exec() -> None:
    asked = json.loads(rows.FILTERS)
    assert asked["type"] == ["container", "image"]
    assert set(asked["event"]) == {
        *("create", "start", "die", "destroy", "commit"),
        *("tag", "untag", "delete", "pull", "load", "import"),
    }


def test_a_time_is_asked_for_in_seconds_with_nine_digits() -> None:
    assert rows.timestamp(1_000_000_007) == "1.000000007"


# Who it is


@pytest.mark.parametrize(
    ("server", "spoken"),
    [
        ("1.41", "v1.41"),
        ("1.51", "v1.51"),
        ("1.53", "v1.51"),
        ("2.0", "v1.51"),
        ("", "v1.51"),
        ("x.y", "v1.51"),
        ("\u00b9.\u00b2", "v1.51"),
        ("1." + "9" * 5000, "v1.51"),
        (7, "v1.51"),
    ],
)
def test_the_api_is_the_servers_but_no_newer_than_ours(server: object, spoken: str) -> None:
    assert rows.api_version({"ApiVersion": server}, (1, 51)) == spoken


def test_a_server_that_names_no_version_is_spoken_to_in_ours() -> None:
    assert rows.api_version({}, (1, 51)) == "v1.51"


def test_an_engine_tells_who_it_is() -> None:
    told = {
        "ID": "X",
        "Name": "gpu-07",
        "Driver": "overlayfs",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        "DockerRootDir": "/var/lib/docker",
    }
    assert rows.engine_info(told, {"Version": "28.5.2"}, "1.51") == EngineInfo(
        id="X",
        name="gpu-07",
        version="28.5.2",
        api_version="1.51",
        driver="overlayfs",
        containerd_store=True,
        root="/var/lib/docker",
    )


def test_an_engine_that_tells_nothing_is_a_graph_driver_without_a_name() -> None:
    nobody = EngineInfo(id="", name="", version="", api_version="1.41", driver="", containerd_store=False, root="")
    assert rows.engine_info({"DriverStatus": None}, {}, "1.41") == nobody
    assert rows.engine_info({"DriverStatus": [["a"], ["b", "c", "d"]]}, {}, "1.41") == nobody
    assert (
        rows.engine_info({"DriverStatus": [[["a"], 1], 7], "ID": 7, "SystemTime": []}, {"Version": {}}, "1.41")
        == nobody
    )


PODMAN = {
    "Version": "4.3.1",
    "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}, None, {}],
}


def test_podman_is_only_observed_and_has_an_id_that_lasts() -> None:
    said = [{"ID": made_up, "Name": "gpu-07", "DockerRootDir": "/data"} for made_up in ("a", "b")]
    first, second = (rows.engine_info(info, PODMAN, "1.41") for info in said)
    assert first == second
    assert (first.product, first.id) == ("Podman", "podman gpu-07 /data")
    assert first.observe_only.startswith("this is Podman 4.3.1, which removes an image's untagged parents")


@pytest.mark.parametrize("parts", [None, [], [{"Name": "Engine"}, {"Name": "containerd"}]])
def test_docker_is_not_only_observed(parts: object) -> None:
    info = rows.engine_info({"ID": "X"}, {"Components": parts}, "1.51")
    assert (info.product, info.id, info.observe_only) == ("Docker", "X", "")


# Containers


def test_a_listed_container_has_its_image_by_id() -> None:
    row = {"Id": CID, "ImageID": ID, "Names": ["/box"], "State": "running", "Created": int(AT.timestamp())}
    assert rows.container(row) == Container(id=CID, image_id=ID, name="box", state="running", last_active=AT)


@pytest.mark.parametrize("names", [None, [], 7, [7], {"a": "b"}])
def test_a_container_may_lack_all_but_its_ids(names: object) -> None:
    assert rows.container({"Id": CID, "ImageID": ID, "Names": names, "Mounts": None}) == Container(
        id=CID, image_id=ID, state="exited"
    )


@pytest.mark.parametrize("created", ["x", 10**30, float("inf"), float("nan"), -(10**30), [1], {}, None])
def test_a_container_of_no_known_time_is_there(created: object) -> None:
    assert rows.container({"Id": CID, "ImageID": ID, "Created": created}) == Container(id=CID, image_id=ID)


def test_a_container_whose_state_cannot_be_read_counts_as_running() -> None:
    row = {"Id": CID, "ImageID": ID, "State": {"Running": True}, "Image": 7, "Labels": ["x"]}
    assert rows.container(row) == Container(id=CID, image_id=ID, state="running")


def test_a_container_without_an_image_holds_none() -> None:
    assert rows.container({"Id": CID, "ImageID": ""}) == Container(id=CID, image_id="")


NO_CONTAINERS = [
    {"Id": CID},
    {"ImageID": ID},
    {"Id": CID, "ImageID": None},
    {"Id": 7, "ImageID": ID},
    {"Id": "../images", "ImageID": ID},
    {"Id": CID, "ImageID": ID, "Mounts": 7},
    {"Id": CID, "ImageID": ID, "Mounts": ["x"]},
    {"Id": CID, "ImageID": ID, "Mounts": [{"Type": "image", "Source": 7}]},
]


@pytest.mark.parametrize("row", NO_CONTAINERS, ids=str)
def test_a_container_of_which_nobody_knows_what_images_it_holds_is_never_left_out(row: dict[str, Any]) -> None:
    with pytest.raises(UNREADABLE):
        rows.container(row)


def test_mounts_that_cannot_be_read_are_an_error_in_an_inspect_too() -> None:
    with pytest.raises(UNREADABLE):
        rows.stopped(Container(id=CID, image_id=ID), {"HostConfig": {"Mounts": "x"}})


def test_a_mounted_image_is_known_by_its_source_and_its_name() -> None:
    mounts = [{"Type": "image", "Source": "team/data:1", "Name": None}, {"Type": "bind", "Source": "/srv"}]
    assert rows.container({"Id": CID, "ImageID": ID, "Mounts": mounts}).image_mounts == ("team/data:1",)


def test_a_mount_has_its_name_and_a_folder_of_the_engine_that_is_none() -> None:
    """As 28.5 lists and inspects it."""
    mount = {"Type": "image", "Name": "team/data:1", "Source": "/data/overlay2/1bc6/merged", "Destination": "/m"}
    asked = {"Type": "image", "Source": "team/data:1", "Target": "/m"}
    assert rows.mounts({"Mounts": [mount]}) == ("team/data:1",)
    assert rows.mounts({"Mounts": [mount], "HostConfig": {"Mounts": [asked]}}) == ("team/data:1",)
    assert rows.mounts({"Mounts": None, "HostConfig": {"Mounts": None}}) == rows.mounts({}) == ()


@pytest.mark.parametrize(
    ("state", "created", "last_active"),
    [
        ({"FinishedAt": "2026-03-01T12:00:00Z", "StartedAt": "2026-02-01T12:00:00Z"}, None, AT),
        ({"FinishedAt": "0001-01-01T00:00:00Z", "StartedAt": "2026-03-01T12:00:00Z"}, None, AT),
        ({"FinishedAt": "0001-01-01T00:00:00Z", "StartedAt": "0001-01-01T00:00:00Z"}, "2026-03-01T12:00:00Z", AT),
        ({}, None, None),
        (None, None, None),
        (["x"], None, None),
        ({"FinishedAt": 7, "StartedAt": "9999-12-31T23:59:59-23:59"}, [], None),
    ],
)
def test_a_stopped_container_was_active_until_its_end_or_start_or_creation(
    state: object, created: str | None, last_active: datetime | None
) -> None:
    found = rows.stopped(Container(id=CID, image_id=ID), {"State": state, "Created": created, "HostConfig": None})
    assert found.last_active == last_active


def test_a_stopped_container_keeps_the_images_mounted_into_it_at_the_next_listing() -> None:
    listed = Container(id=CID, image_id=ID)
    inspected = rows.stopped(listed, {"HostConfig": {"Mounts": [{"Type": "image", "Source": "team/data:1"}]}})
    assert inspected.image_mounts == ("team/data:1",)
    assert rows.with_times(listed, inspected) == inspected
    assert rows.with_times(listed, None) == listed


# Images


@pytest.mark.parametrize("nothing", [None, [], ["<none>:<none>"], ["<none>@<none>"]], ids=str)
def test_an_image_may_have_no_references_in_many_ways(nothing: object) -> None:
    row = {"Id": ID, "RepoTags": nothing, "RepoDigests": nothing, "Size": None}
    assert rows.image(row, None, containerd=False) == Image(id=ID)


def test_on_a_graph_driver_a_digest_proves_where_it_came_from() -> None:
    row = {"Id": ID, "RepoTags": ["team/torch:2", "team/torch:1"], "RepoDigests": [DIGEST], "Size": 7}
    named = {"references": ("team/torch:1", "team/torch:2"), "digests": (DIGEST,), "size_bytes": 7}
    assert rows.image(row, None, containerd=False) == Image(id=ID, origin=DIGEST, **named)  # type: ignore[arg-type]


def test_on_the_containerd_store_the_id_is_a_digest_and_proves_nothing() -> None:
    row = {"Id": ID, "RepoTags": ["other/torch:1", "team/torch:1"], "RepoDigests": None}
    assert rows.image(row, None, containerd=True) == Image(
        id=ID,
        references=("other/torch:1", "team/torch:1"),
        digests=(f"other/torch@{ID}", f"team/torch@{ID}"),
    )


def test_names_are_those_that_docker_writes() -> None:
    said = {"RepoTags": ["docker.io/library/base:1", "localhost/x:1"], "RepoDigests": [f"docker.io/{DIGEST}"]}
    assert rows.references(said) == (("base:1", "localhost/x:1"), (DIGEST,))


NO_ROWS = {
    "tags of another type": {"RepoTags": 7},
    "a tag of another type": {"RepoTags": [["x"]]},
    "digests of another type": {"RepoDigests": {"a": "b"}},
    "a name without end": {"RepoTags": ["x" * 5000 + ":1"]},
    "names without number": {"RepoTags": [f"a:{number}" for number in range(5000)]},
    "a size beyond 64 bits": {"Size": 2**63},
    "a size beyond floats": {"Size": float("inf")},
    "a size that is a text": {"Size": "7"},
}


@pytest.mark.parametrize("row", NO_ROWS.values(), ids=NO_ROWS.keys())
def test_an_image_of_which_only_the_id_can_be_read_is_there_without_details(row: dict[str, Any]) -> None:
    found = rows.image({"Id": ID, **row}, Details(), containerd=False)
    assert found == Image(id=ID, unreadable=found.unreadable)
    assert found.unreadable.startswith(("it has ", "its ", "one of its "))


@pytest.mark.parametrize(
    "row", [{}, {"Id": None}, {"Id": 7}, {"Id": ""}, {"Id": "../x"}, {"Id": "\ud800"}, {"Id": "a b"}]
)
def test_an_image_without_an_id_is_an_error(row: dict[str, Any]) -> None:
    with pytest.raises(UNREADABLE):
        rows.image(row, None, containerd=False)


def test_a_size_that_the_engine_does_not_know_is_none() -> None:
    assert rows.image({"Id": ID, "Size": -1}, None, containerd=False) == Image(id=ID)


def test_a_digest_among_the_tags_is_a_digest() -> None:
    assert rows.references({"RepoTags": [DIGEST], "RepoDigests": [DIGEST]}) == ((), (DIGEST,))


def test_inspect_and_history_are_one_set_of_details() -> None:
    inspected = {
        "RootFS": {"Layers": ["sha256:1", "sha256:2"]},
        "Parent": "sha256:p",
        "Created": "2026-03-01T12:00:00Z",
        "Config": {
            "Env": ["A=1=2", "EMPTY=", "BARE"],
            "Labels": {"a": "b"},
            "Entrypoint": ["python"],
            "Cmd": "run me",
        },
    }
    history: list[dict[str, Any]] = [{"CreatedBy": "RUN b", "Size": 2}, {"CreatedBy": None, "Size": None}]
    assert rows.details(inspected, history) == Details(
        layers=("sha256:1", "sha256:2"),
        parent="sha256:p",
        created=AT,
        env={"A": "1=2", "EMPTY": "", "BARE": ""},
        labels={"a": "b"},
        entrypoint=("python",),
        command=("run me",),
        history=(HistoryStep("", 0), HistoryStep("RUN b", 2)),
    )


@pytest.mark.parametrize(
    ("manifests", "packed"),
    [
        ([{"Size": {"Content": 40, "Total": 140}}, {"Kind": "attestation", "Size": {"Content": 2}}], 42),
        ([{"Size": {"Content": None}}, {"Size": None}, {}], 0),
        ([], None),  # below API 1.48
        (None, None),
    ],
)
def test_the_containerd_store_tells_the_bytes_of_compressed_layers_from_api_1_48_on(
    manifests: list[dict[str, Any]] | None, packed: int | None
) -> None:
    assert rows.details({"Manifests": manifests}, [], containerd=True).packed_bytes == packed
    assert rows.details({"Manifests": manifests}, []).packed_bytes == 0  # a graph driver keeps none


@pytest.mark.parametrize(
    "inspected",
    [{}, {"Config": None, "RootFS": None}, {"Config": {"Env": None, "Labels": None, "Entrypoint": None, "Cmd": None}}],
    ids=str,
)
def test_an_image_may_tell_nothing_of_itself(inspected: dict[str, Any]) -> None:
    assert rows.details(inspected, []) == Details(committed=True)


NO_DETAILS: dict[str, tuple[Any, Any]] = {
    "a list": ([], []),
    "nothing": (None, []),
    "layers of another type": ({"RootFS": {"Layers": [7]}}, []),
    "layers that are a text": ({"RootFS": {"Layers": "sha256:1"}}, []),
    "a configuration of another type": ({"Config": ["x"]}, []),
    "variables of another type": ({"Config": {"Env": [7]}}, []),
    "labels of another type": ({"Config": {"Labels": ["x"]}}, []),
    "a label of another type": ({"Config": {"Labels": {"a": {}}}}, []),
    "an entrypoint of another type": ({"Config": {"Entrypoint": {"a": 1}}}, []),
    "a word of another type": ({"Config": {"Cmd": [None]}}, []),
    "a parent of another type": ({"Parent": 7}, []),
    "a history of another type": ({}, {}),
    "a line of another type": ({}, ["x"]),
    "a text of another type": ({}, [{"CreatedBy": 7}]),
    "a size of another type": ({}, [{"Size": "x"}]),
    "a size beyond 64 bits": ({}, [{"Size": 10**30}]),
    "a size beyond floats": ({}, [{"Size": float("inf")}]),
    "layers without end": ({"RootFS": {"Layers": ["x"] * 5000}}, []),
}


@pytest.mark.parametrize(("inspected", "history"), NO_DETAILS.values(), ids=NO_DETAILS.keys())
def test_details_of_another_shape_are_an_error(inspected: object, history: object) -> None:
    with pytest.raises(UNREADABLE):
        rows.details(inspected, history)


def test_details_are_within_bounds() -> None:
    found = rows.details({"Config": {"Env": ["A=" + "x" * bounds.ENV]}}, [{"CreatedBy": "torch" * bounds.HISTORY}])
    assert found == Details(history=(HistoryStep("", 0),), left_out=("ENV", "history"), committed=True)


# What a pull brought


NEVER = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("reference", "digests", "at"),
    [
        ("team/torch:1", [DIGEST], datetime.fromtimestamp(0, UTC)),
        ("docker.io/team/torch:1", [DIGEST], datetime.fromtimestamp(0, UTC)),
        (DIGEST, [DIGEST], datetime.fromtimestamp(0, UTC)),
        ("team/torch:1", ["other/torch@sha256:" + "d" * 64], NEVER),
        ("team/torch:1", [], NEVER),
        ("team/torch:1", None, NEVER),
    ],
)
def test_on_a_graph_driver_a_digest_of_the_repository_shows_that_a_name_was_pulled(
    reference: str, digests: list[str] | None, at: datetime
) -> None:
    named = rows.pulled_target({"Id": ID, "RepoDigests": digests}, reference, containerd=False)
    assert named == PulledTarget(ID, at)


@pytest.mark.parametrize(
    ("metadata", "at"),
    [
        ({"LastTagTime": "2026-03-01T12:00:00.000000001Z"}, AT),
        ({"LastTagTime": "0001-01-01T00:00:00Z"}, NEVER),
        ({}, NEVER),
        (None, NEVER),
    ],
)
def test_on_the_containerd_store_a_name_is_as_old_as_the_last_one_that_was_set(
    metadata: dict[str, str] | None, at: datetime
) -> None:
    inspected = {"Id": ID, "RepoDigests": [DIGEST], "Metadata": metadata}
    assert rows.pulled_target(inspected, "team/torch:1", containerd=True) == PulledTarget(ID, at)


# Answers to a DELETE


def test_an_answer_tells_what_was_untagged_and_deleted() -> None:
    answer = (
        '[{"Untagged":"docker.io/library/a:1"},{"Untagged":"a@sha256:1"},{"Deleted":"sha256:2"},{"Deleted":"sha256:3"}]'
    )
    assert rows.removed(answer) == Removed(("a:1", "a@sha256:1"), ("sha256:2", "sha256:3"))
    assert rows.removed("[]") == Removed()


ANSWERS_THAT_TELL_NOTHING = [
    "",
    "null",
    "{}",
    '{"Untagged":"a:1"}',
    "[7]",
    '["a:1"]',
    '[{"Untagged"',
    "[null]",
    '[{"Untagged":null}]',
    "[" * 100_000,
]


@pytest.mark.parametrize(
    "answer", [*ANSWERS_THAT_TELL_NOTHING, '[{"Untagged":"a:1"},{"Squashed":"b"}]'], ids=lambda answer: answer[:30]
)
def test_an_answer_that_does_not_say_what_went_cannot_be_read(answer: str) -> None:
    assert rows.removed(answer) == Removed(readable=False)


def test_what_else_an_answer_says_is_left_out() -> None:
    assert rows.removed('[{"Deleted":"sha256:2","Size":7}]') == Removed((), ("sha256:2",))
