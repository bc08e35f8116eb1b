"""Turns the engine's JSON into our facts. Pure. In any version lists and maps may be missing, null or `<none>`.

An unreadable value raises one of `UNREADABLE` if ignoring it could make an image look unused; otherwise it is ignored.
Names and labels come from outside: the results have a bounded length and can be encoded in UTF-8.
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

# Limits for one container. Labels beyond them are neither shown nor matched by usage.ignore_containers.
MOST_LABELS = 100
LONGEST_LABEL = 300  # characters; labels that name a user are copied to the inventory

FILTERS = json.dumps(
    {"type": ["container", "image"], "event": sorted({*USES, *IMAGE_ACTIONS, COMMIT})}
)  # applied by the engine, so that it does not send exec and health-check events

# Measured on Podman 4.3: `noprune` has no effect, and the removal of a tag raises the event of a deletion.
UNLIKE_DOCKER = "which removes an image's untagged parents with it, and whose events do not show which image is gone"


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 in the form that `since` and `until` accept; the engine answers RFC 3339 with 500."""
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def api_version(server: Mapping[str, Any], newest: tuple[int, int]) -> str:
    """The API version to speak: the server's, but no newer than ours."""
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", text(server.get("ApiVersion")))
    version = min((int(match[1]), int(match[2])), newest) if match else newest
    return f"v{version[0]}.{version[1]}"


def engine_info(info: Mapping[str, Any], server: Mapping[str, Any], api: str) -> EngineInfo:
    pairs = [pair for pair in items(info.get("DriverStatus")) if isinstance(pair, list) and len(pair) == 2]
    name, root, version = text(info.get("Name")), text(info.get("DockerRootDir")), text(server.get("Version"))
    podman = any(fields(part).get("Name") == "Podman Engine" for part in items(server.get("Components")))
    return EngineInfo(
        id=f"podman {name} {root}" if podman else text(info.get("ID")),  # Podman invents a new ID for each answer
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
    """Parse one row of `/events`; None if the agent does not track it or it is malformed."""
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
    # The engine merges labels into the attributes. For containers its own keys win. For images `name` is the reference
    # only with actions that set it: otherwise it may be a label of that name.
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
    """The time in nanoseconds since 1970. Raises ValueError if it is missing or out of range."""
    nanoseconds, seconds = row.get("timeNano"), row.get("time")
    time_ns = nanoseconds or (seconds * 10**9 if isinstance(seconds, int) else 0)
    if not isinstance(time_ns, int) or not 0 < time_ns < 2**62:
        raise ValueError("it has no valid time")
    return time_ns


def _actor(value: object) -> str:
    """An ID, or the reference of a pull; never shortened. Raises ValueError."""
    if not isinstance(value, str) or not 0 < len(value) <= json_values.LONGEST_TEXT:
        raise ValueError("it has no valid actor")
    return value


def _labels(found: object) -> dict[str, str]:
    """Labels, or the attributes of an event, which also contain the engine's own; at most MOST_LABELS of them."""
    named = ((key, value) for key, value in fields(found).items() if key not in ("image", "name"))
    return {text(key): text(value, LONGEST_LABEL) for key, value in islice(named, MOST_LABELS)}


def ring(lines: Iterable[bytes]) -> RingSnapshot:
    """The ring, from all the lines of an unfiltered read of past events."""
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
    """A row of `/containers/json`. Raises if it does not show which images the container uses.

    If any other value is unreadable, the container still counts, and keeps its image in use.
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
    """The state; a container with an unreadable state may be running, so it counts as running."""
    return text(value or "exited") or RUNNING[0]


def _seconds(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if value else None  # type: ignore[arg-type]  # TypeError is caught
    except (*UNREADABLE, OSError):
        return None


def mounts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The images mounted in a container, by the names given when it was created; from a list or an inspect.

    An actual mount has the image's name under `Name` (and a folder of the engine under `Source`), a requested mount has
    it under `Source`. Raises if the mounts are unreadable: any image might be mounted.
    """
    requested = fields(row.get("HostConfig")).get("Mounts")
    entries = [*json_values.rows(row.get("Mounts"), "mounts"), *json_values.rows(requested, "mounts")]
    images = [mount.get("Name") or mount.get("Source") for mount in entries if mount.get("Type") == "image"]
    names = [name for name in images if name]
    return _once(json_values.texts(names, "mounted images", len(names), json_values.LONGEST_TEXT))


def with_times(found: Container, before: Container | None) -> Container:
    """Add the values that only an inspect reports, from an earlier one: the end of the last run, and image mounts."""
    if before is None:
        return found
    return replace(found, last_active=before.last_active, image_mounts=_once(found.image_mounts, before.image_mounts))


def stopped(found: Container, inspected: Mapping[str, Any]) -> Container:
    """A stopped container; `last_active` is the end of its last run, else its start, else its creation."""
    state = fields(inspected.get("State"))
    candidates = (state.get("FinishedAt"), state.get("StartedAt"), inspected.get("Created"))
    times = (units.parse_time(text(at)) for at in candidates)
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
    """A row of `/images/json`. Raises if it has no ID; if something else is unreadable, the image has no details.

    On the containerd store a digest does not prove that the image is in a registry: each tag has one without a push,
    which is the image's ID. Docker 26.1 lists only one of these digests, so those of the other tags are added.

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


def pulled_target(inspected: Mapping[str, Any], reference: str, *, containerd: bool) -> PulledTarget:
    """The image that a pulled reference points to now, and since when. Raises if that is unreadable.

    The containerd store records when a name of an image was last set, even by a build, which raises no event. With a
    graph driver, a pulled image has a digest of the repository, and a built one does not.
    """
    if containerd:
        since = units.parse_time(text(fields(inspected.get("Metadata")).get("LastTagTime")))
    else:
        repository = reference.partition("@")[0] if "@" in reference else familiar(reference).rpartition(":")[0]
        pulled = any(digest.startswith(f"{repository}@") for digest in references(inspected)[1])
        since = datetime.fromtimestamp(0, UTC) if pulled else None
    return PulledTarget(id=identifier(inspected["Id"]), at=since or datetime.max.replace(tzinfo=UTC))


def references(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags and the digest references in Docker's familiar form. Raises if any of them is unreadable.

    The containerd store lists an image that was pulled by digest only among the tags.
    """
    tags, digests = (_names(row.get(key)) for key in ("RepoTags", "RepoDigests"))
    named = {tag for tag in tags if "@" not in tag}
    return tuple(sorted(named)), tuple(sorted({*digests, *(tag for tag in tags if "@" in tag)}))


def _names(found: object) -> list[str]:
    """The names without `docker.io/`, which Podman adds."""
    names = json_values.texts(found, "names", bounds.NAMES, bounds.NAME)
    return [familiar(name) for name in names if not name.startswith("<none>")]


def removed(answer: str) -> Removed:
    """The answer to a DELETE of an image: `[{"Untagged": "team/a:1"}, {"Deleted": "sha256:..."}]`."""
    try:
        entries = json_values.parsed(answer)
    except ValueError:
        return Removed(readable=False)
    if not isinstance(entries, list) or not all(map(_is_removal, entries)):
        return Removed(readable=False)
    return Removed(
        untagged=tuple(familiar(entry["Untagged"]) for entry in entries if "Untagged" in entry),
        deleted=tuple(entry["Deleted"] for entry in entries if "Deleted" in entry),
    )


def _is_removal(entry: object) -> bool:
    names = [entry[key] for key in ("Untagged", "Deleted") if key in entry] if isinstance(entry, dict) else []
    return bool(names) and all(isinstance(name, str) for name in names)


def details(inspected: Any, history: Any, *, containerd: bool = False) -> Details:
    """Combine inspect and history, limited by `bounds`. Raises if anything in them is malformed.

    The engine lists the history newest first; ours starts at the base.
    """
    root, config = inspected.get("RootFS") or {}, inspected.get("Config") or {}
    lines = json_values.rows(history, "lines of history")
    steps = [_step(step) for step in lines]
    variables = (line.partition("=") for line in json_values.texts(config.get("Env"), "variables"))
    combined = Details(
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
    return bounds.bounded(combined)


def _packed_bytes(inspected: Mapping[str, Any]) -> int | None:
    """The compressed bytes of an image in the containerd store; None before API 1.48, which does not report them."""
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
