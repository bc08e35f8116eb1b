"""The engine's JSON as our facts. Pure. Lists and maps may be missing, null or `<none>` in any version.

What cannot be read raises one of `UNREADABLE`, where leaving it out could make an image look unused; else it is left
out. Names and labels are strangers': as they come from here, they are of bounded length and can be written anywhere.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from agent.adapters.docker import commits, json_values
from agent.adapters.docker.json_values import UNREADABLE, fields, identifier, items, text
from agent.adapters.engine import EngineInfo, PulledTarget, Removed, RingSnapshot
from agent.core import units
from agent.core.images import isolation
from agent.core.images.references import familiar
from agent.core.model import RUNNING, Container, Details, HistoryStep, Image
from agent.core.policy.build_cache import CacheRecord
from agent.core.pytorch import bounds
from agent.core.usage.events import COMMIT, IMAGE_ACTIONS, USES, EngineEvent

# Of a container. Beyond these nothing names a person or a project, and no pattern of usage.ignore_containers means it.
MOST_LABELS = 100
LONGEST_LABEL = 300  # characters; the inventory has the user of each image

FILTERS = json.dumps(
    {"type": ["container", "image"], "event": sorted({*USES, *IMAGE_ACTIONS, COMMIT})}
)  # applied by the engine: exec and health-check events never leave it

# Measured on Podman 4.3: `noprune` has no effect, and the loss of a tag raises the event of a deletion.
UNLIKE_DOCKER = "which removes an image's untagged parents with it, and whose events do not tell which image is gone"


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 as `since` and `until` take them; RFC 3339 is answered with 500."""
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def api_version(server: Mapping[str, Any], newest: tuple[int, int]) -> str:
    """The API version to speak: the server's, but no newer than ours."""
    told = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", text(server.get("ApiVersion")))
    version = min((int(told[1]), int(told[2])), newest) if told else newest
    return f"v{version[0]}.{version[1]}"


def engine_info(info: Mapping[str, Any], server: Mapping[str, Any], api: str) -> EngineInfo:
    pairs = [pair for pair in items(info.get("DriverStatus")) if isinstance(pair, list) and len(pair) == 2]
    name, root, version = text(info.get("Name")), text(info.get("DockerRootDir")), text(server.get("Version"))
    podman = any(fields(part).get("Name") == "Podman Engine" for part in items(server.get("Components")))
    return EngineInfo(
        id=f"podman {name} {root}" if podman else text(info.get("ID")),  # Podman makes up another one for each answer
        name=name,
        version=version,
        api_version=api,
        driver=text(info.get("Driver")),
        containerd_store=["driver-type", "io.containerd.snapshotter.v1"] in pairs,
        root=root,
        time=units.parse_time(text(info.get("SystemTime"))),
        product="Podman" if podman else "Docker",
        observe_only=f"this is Podman {version}, {UNLIKE_DOCKER}" if podman else "",
    )


def event(line: bytes) -> EngineEvent | None:
    """One row of `/events`, or None where it is none that the agent reads, or malformed."""
    try:
        return _event(json_values.parsed(line))
    except UNREADABLE:
        return None


def _event(row: Mapping[str, Any]) -> EngineEvent | None:
    kind, action = row["Type"], row["Action"]
    wanted = (*USES, COMMIT) if kind == "container" else IMAGE_ACTIONS if kind == "image" else ()
    if action not in wanted:
        return None
    attributes = fields(row["Actor"].get("Attributes"))
    # Labels are merged into the attributes, but for containers the engine's own keys win; for images `name` is
    # the reference only where the action sets it: a label of that name must not pass for one.
    named = kind == "container" or action in ("tag", "untag")
    return EngineEvent(
        time_ns=_event_time(row),
        kind=kind,
        action=action,
        actor=_actor(row["Actor"]["ID"]),
        image=text(attributes.get("image")) if kind == "container" else "",
        name=text(attributes.get("name")) if named else "",
        labels=_labels(attributes) if kind == "container" else {},
    )


def _event_time(row: Mapping[str, Any]) -> int:
    """Nanoseconds. Raises ValueError for what is no time that the agent could live in."""
    nanoseconds, seconds = row.get("timeNano"), row.get("time")
    found = nanoseconds or (seconds * 10**9 if isinstance(seconds, int) else 0)
    if not isinstance(found, int) or not 0 < found < 2**62:
        raise ValueError("it has no time that can be read")
    return found


def _actor(value: object) -> str:
    """An ID, or for a pull the reference; whole, or not at all."""
    if not isinstance(value, str) or not 0 < len(value) <= json_values.LONGEST_TEXT:
        raise ValueError("it says of nothing that can be read")
    return value


def _labels(found: object) -> dict[str, str]:
    """Labels, or an event's attributes, among which the engine's own stand, too. Of very many the first ones."""
    named = ((key, value) for key, value in fields(found).items() if key not in ("image", "name"))
    return {text(key): text(value, LONGEST_LABEL) for key, value in islice(named, MOST_LABELS)}


def ring(lines: Iterable[bytes]) -> RingSnapshot:
    """All rows of an unfiltered finite read."""
    lines = [line for line in lines if line.strip()]
    times = [time_ns for time_ns in map(_time_ns, lines) if time_ns > 0]  # an old time would hide a gap
    events = tuple(item for item in map(event, lines) if item is not None)
    return RingSnapshot(events=events, size=len(lines), oldest_ns=min(times, default=0))


def _time_ns(line: bytes) -> int:
    try:
        return _event_time(json_values.parsed(line))
    except UNREADABLE:
        return 0


def container(row: Mapping[str, Any]) -> Container:
    """A row of `/containers/json`. Raises where it does not say which images the container holds.

    Whatever else it does not say, the container is there, and holds its image.
    """
    return Container(
        id=identifier(row["Id"]),
        image_id=identifier(row["ImageID"]) if row["ImageID"] != "" else "",  # Podman's pods have none
        name=text(next(iter(items(row.get("Names"))), "")).removeprefix("/"),
        state=_state(row.get("State")),
        last_active=_seconds(row.get("Created")),
        image_mounts=mounts(row),
        image=text(row.get("Image")),
        labels=_labels(row.get("Labels")),
    )


def _state(value: object) -> str:
    """The state; a container whose state cannot be read may be running, and counts as running."""
    return text(value or "exited") or RUNNING[0]


def _seconds(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if value else None  # type: ignore[arg-type]  # TypeError is caught
    except (*UNREADABLE, OSError):
        return None


def mounts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The images mounted in a container, by the names that it was made with; from a list or an inspect.

    A mount has the name under `Name`, and a folder of the engine under `Source`. What was asked for has no `Name`.
    Raises where that cannot be read: any image may be mounted.
    """
    asked = fields(row.get("HostConfig")).get("Mounts")
    found = [*json_values.rows(row.get("Mounts"), "mounts"), *json_values.rows(asked, "mounts")]
    named = [mount.get("Name") or mount.get("Source") for mount in found if mount.get("Type") == "image"]
    names = [name for name in named if name]
    return _once(json_values.texts(names, "mounted images", len(names), json_values.LONGEST_TEXT))


def with_times(found: Container, before: Container | None) -> Container:
    """With what only an inspect tells: the end of its run, and image mounts."""
    if before is None:
        return found
    return replace(found, last_active=before.last_active, image_mounts=_once(found.image_mounts, before.image_mounts))


def stopped(found: Container, inspected: Mapping[str, Any]) -> Container:
    """A stopped container with the end of its last run, else its start, else its creation."""
    state = fields(inspected.get("State"))
    told = (state.get("FinishedAt"), state.get("StartedAt"), inspected.get("Created"))
    times = (units.parse_time(text(at)) for at in told)
    return replace(
        found,
        last_active=next((at for at in times if at is not None), found.last_active),
        image_mounts=_once(found.image_mounts, mounts(inspected)),
    )


def _once(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain(*names)))


def cache_record(row: Mapping[str, Any]) -> CacheRecord:
    """A row of `BuildCache` in `/system/df`."""
    return CacheRecord(
        id=identifier(row["ID"]),
        size_bytes=json_values.whole(row.get("Size")),
        created=units.parse_time(text(row.get("CreatedAt"))),
        last_used=units.parse_time(text(row.get("LastUsedAt"))),
        in_use=bool(row.get("InUse")),
    )


def image(row: Mapping[str, Any], found: Details | None, *, containerd: bool, unreadable: str = "") -> Image:
    """A row of `/images/json`. Raises where it has no ID; one that cannot be read otherwise has no details.

    On the containerd store a digest proves no origin: it is there without any push, the image's ID in the repository
    of each tag. The list of 26.1 tells only one of them, where inspect tells all.

    `unreadable`: why its details cannot be read.
    """
    image_id = identifier(row["Id"])
    try:
        tags, digests = references(row)
        size_bytes = json_values.whole(row.get("Size"))
    except UNREADABLE as error:
        return Image(id=image_id, unreadable=isolation.failure(error))
    own = [f"{tag.rpartition(':')[0]}@{image_id}" for tag in tags] if containerd else []
    return Image(
        id=image_id,
        references=tags,
        digests=tuple(sorted({*digests, *own})),
        origin=None if containerd or not digests else digests[0],
        size_bytes=size_bytes,
        details=found,
        unreadable=unreadable,
    )


def named(inspected: Mapping[str, Any], reference: str, *, containerd: bool) -> PulledTarget:
    """What a pulled reference means now, and since when. Raises where that cannot be read.

    The containerd store tells when a name of an image was last set, by a build without any event, too. A graph
    driver gives a digest of the repository to what was pulled, and to nothing that was built.
    """
    if containerd:
        told = units.parse_time(text(fields(inspected.get("Metadata")).get("LastTagTime")))
    else:
        repository = reference.partition("@")[0] if "@" in reference else familiar(reference).rpartition(":")[0]
        pulled = any(digest.startswith(f"{repository}@") for digest in references(inspected)[1])
        told = datetime.fromtimestamp(0, UTC) if pulled else None
    return PulledTarget(id=identifier(inspected["Id"]), at=told or datetime.max.replace(tzinfo=UTC))


def references(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags and the digest references, as Docker writes them; all, or it raises.

    A digest-only pull stands among the tags on the containerd store.
    """
    tags, digests = (_names(row.get(key)) for key in ("RepoTags", "RepoDigests"))
    named = {tag for tag in tags if "@" not in tag}
    return tuple(sorted(named)), tuple(sorted({*digests, *(tag for tag in tags if "@" in tag)}))


def _names(found: object) -> list[str]:
    """Names without the `docker.io/` that Podman writes."""
    names = json_values.texts(found, "names", bounds.NAMES, bounds.NAME)
    return [familiar(name) for name in names if not name.startswith("<none>")]


def removed(answer: str) -> Removed:
    """The answer to a DELETE of an image: `[{"Untagged": "team/a:1"}, {"Deleted": "sha256:..."}]`."""
    try:
        entries = json_values.parsed(answer)
    except ValueError:
        return Removed(readable=False)
    if not isinstance(entries, list) or not all(map(_tells_what_went, entries)):
        return Removed(readable=False)
    return Removed(
        untagged=tuple(familiar(entry["Untagged"]) for entry in entries if "Untagged" in entry),
        deleted=tuple(entry["Deleted"] for entry in entries if "Deleted" in entry),
    )


def _tells_what_went(entry: object) -> bool:
    told = [entry[key] for key in ("Untagged", "Deleted") if key in entry] if isinstance(entry, dict) else []
    return bool(told) and all(isinstance(name, str) for name in told)


def details(inspected: Any, history: Any, *, containerd: bool = False) -> Details:
    """Inspect and history as one, within `bounds`. Raises where anything in them is not what an engine gives.

    The engine gives history newest first; ours starts at the base.
    """
    root, config = inspected.get("RootFS") or {}, inspected.get("Config") or {}
    lines = json_values.rows(history, "lines of history")
    steps = [_step(step) for step in lines]
    variables = (line.partition("=") for line in json_values.texts(config.get("Env"), "variables"))
    found = Details(
        layers=tuple(json_values.texts(root.get("Layers"), "layers")),
        parent=_text(inspected.get("Parent")),
        created=units.parse_time(text(inspected.get("Created"))),
        env={name: value for name, _, value in variables},
        labels={name: _text(value) for name, value in (config.get("Labels") or {}).items()},
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        history=tuple(reversed(steps)),
        committed=commits.may_be_commit(inspected, lines),
        packed_bytes=_packed_bytes(inspected) if containerd else 0,
    )
    return bounds.bounded(found)


def _packed_bytes(inspected: Mapping[str, Any]) -> int | None:
    """The compressed bytes that the containerd store keeps of an image; None before API 1.48, which reports none."""
    sizes = [fields(manifest.get("Size")) for manifest in json_values.rows(inspected.get("Manifests"), "manifests")]
    return sum(json_values.whole(size.get("Content")) for size in sizes) if sizes else None


def _step(step: Mapping[str, Any]) -> HistoryStep:
    return HistoryStep(_text(step.get("CreatedBy")), json_values.whole(step.get("Size")))


def _words(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(json_values.texts(value, "words of its command"))


def _text(value: object) -> str:
    if not isinstance(value, str | None):
        raise ValueError("one of its texts is not a text")
    return value or ""
