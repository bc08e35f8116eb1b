"""The engine's JSON as our facts. Pure. Lists and maps may be missing, null or `<none>` in any version."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from agent.adapters import commits
from agent.adapters.engine import EngineInfo, Named, Removed, RingRows
from agent.core import units
from agent.core.build_cache import CacheRecord
from agent.core.events import COMMIT, IMAGE_ACTIONS, USES, EngineEvent, familiar
from agent.core.model import Container, Details, HistoryStep, Image

FILTERS = json.dumps(
    {"type": ["container", "image"], "event": sorted({*USES, *IMAGE_ACTIONS, COMMIT})}
)  # applied by the engine: exec and health-check events never leave it


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 as `since` and `until` take them; RFC 3339 is answered with 500."""
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def api_version(server: Mapping[str, Any], newest: tuple[int, int]) -> str:
    """The API version to speak: the server's, but no newer than ours."""
    major, _, minor = str(server.get("ApiVersion", "")).partition(".")
    known = major.isdigit() and minor.isdigit()
    version = min((int(major), int(minor)), newest) if known else newest
    return f"v{version[0]}.{version[1]}"


def engine_info(info: Mapping[str, Any], server: Mapping[str, Any], api: str) -> EngineInfo:
    status = dict(pair for pair in info.get("DriverStatus") or [] if len(pair) == 2)
    return EngineInfo(
        id=str(info.get("ID") or ""),
        name=str(info.get("Name") or ""),
        version=str(server.get("Version") or ""),
        api_version=api,
        driver=str(info.get("Driver") or ""),
        containerd_store=status.get("driver-type") == "io.containerd.snapshotter.v1",
        root=str(info.get("DockerRootDir") or ""),
        time=units.parse_time(str(info.get("SystemTime") or "")),
    )


def event(line: bytes) -> EngineEvent | None:
    """One row of `/events`, or None where it is none that the agent reads, or malformed."""
    try:
        row = json.loads(line)
        return _event(row)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _event(row: Mapping[str, Any]) -> EngineEvent | None:
    kind, action = row["Type"], row["Action"]
    wanted = (*USES, COMMIT) if kind == "container" else IMAGE_ACTIONS if kind == "image" else ()
    if action not in wanted:
        return None
    actor = row["Actor"]["ID"]
    attributes = row["Actor"].get("Attributes") or {}
    time_ns = row.get("timeNano") or row["time"] * 10**9
    if not (isinstance(actor, str) and actor and isinstance(time_ns, int) and 0 < time_ns < 2**62):
        return None
    # Labels are merged into the attributes, but for containers the engine's own keys win; for images `name` is
    # the reference only where the action sets it: a label of that name must not pass for one.
    named = kind == "container" or action in ("tag", "untag")
    return EngineEvent(
        time_ns=time_ns,
        kind=kind,
        action=action,
        actor=actor,
        image=str(attributes.get("image") or "") if kind == "container" else "",
        name=str(attributes.get("name") or "") if named else "",
        labels=_labels(attributes) if kind == "container" else {},
    )


def _labels(found: Mapping[str, Any]) -> dict[str, str]:
    """Labels, or an event's attributes, among which the engine's own stand, too."""
    return {str(key): str(value) for key, value in found.items() if key not in ("image", "name")}


def ring(lines: Iterable[bytes]) -> RingRows:
    """All rows of an unfiltered finite read."""
    lines = [line for line in lines if line.strip()]
    times = [time_ns for time_ns in map(_time_ns, lines) if time_ns > 0]  # an old time would hide a gap
    events = tuple(item for item in map(event, lines) if item is not None)
    return RingRows(events=events, size=len(lines), oldest_ns=min(times, default=0))


def _time_ns(line: bytes) -> int:
    try:
        return int(json.loads(line).get("timeNano") or 0)
    except (ValueError, TypeError, AttributeError):
        return 0


def container(row: Mapping[str, Any]) -> Container:
    """A row of `/containers/json`."""
    names = row.get("Names") or [""]
    mounts = [mount for mount in row.get("Mounts") or [] if mount.get("Type") == "image"]
    sources = [mount.get(key) for mount in mounts for key in ("Source", "Name")]
    return Container(
        id=row["Id"],
        image_id=row["ImageID"],
        name=str(names[0]).removeprefix("/"),
        state=str(row.get("State") or "exited"),
        last_active=datetime.fromtimestamp(row["Created"], UTC) if row.get("Created") else None,
        image_mounts=tuple(str(source) for source in sources if source),
        image=str(row.get("Image") or ""),
        labels=_labels(row.get("Labels") or {}),
    )


def with_times(found: Container, before: Container | None) -> Container:
    """With what only an inspect tells: the end of its run, and image mounts."""
    if before is None:
        return found
    return replace(found, last_active=before.last_active, image_mounts=_once(found.image_mounts, before.image_mounts))


def stopped(found: Container, inspected: Mapping[str, Any]) -> Container:
    """A stopped container with the end of its last run, else its start, else its creation."""
    state = inspected.get("State") or {}
    told = (state.get("FinishedAt"), state.get("StartedAt"), inspected.get("Created"))
    times = (units.parse_time(str(text or "")) for text in told)
    mounts = ((inspected.get("HostConfig") or {}).get("Mounts")) or []
    sources = [str(mount.get("Source") or "") for mount in mounts if mount.get("Type") == "image"]
    return replace(
        found,
        last_active=next((at for at in times if at is not None), found.last_active),
        image_mounts=_once(found.image_mounts, filter(None, sources)),
    )


def _once(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain(*names)))


def cache_record(row: Mapping[str, Any]) -> CacheRecord:
    """A row of `BuildCache` in `/system/df`."""
    return CacheRecord(
        id=str(row["ID"]),
        size_bytes=int(row.get("Size") or 0),
        created=units.parse_time(str(row.get("CreatedAt") or "")),
        last_used=units.parse_time(str(row.get("LastUsedAt") or "")),
        in_use=bool(row.get("InUse")),
    )


def image(row: Mapping[str, Any], found: Details | None, *, containerd: bool) -> Image:
    """A row of `/images/json`.

    On the containerd store a digest proves no origin: it is there without any push, the image's ID in the repository
    of each tag. The list of 26.1 tells only one of them, where inspect tells all.
    """
    tags, digests = references(row)
    own = [f"{tag.rpartition(':')[0]}@{row['Id']}" for tag in tags] if containerd else []
    return Image(
        id=row["Id"],
        references=tags,
        digests=tuple(sorted({*digests, *own})),
        origin=None if containerd or not digests else digests[0],
        size_bytes=int(row.get("Size") or 0),
        details=found,
    )


def named(inspected: Mapping[str, Any], reference: str, *, containerd: bool) -> Named:
    """What a pulled reference means now, and since when.

    The containerd store tells when a name of an image was last set, by a build without any event, too. A graph
    driver gives a digest of the repository to what was pulled, and to nothing that was built.
    """
    if containerd:
        told = units.parse_time(str((inspected.get("Metadata") or {}).get("LastTagTime") or ""))
    else:
        repository = reference.partition("@")[0] if "@" in reference else familiar(reference).rpartition(":")[0]
        pulled = any(digest.startswith(f"{repository}@") for digest in references(inspected)[1])
        told = datetime.fromtimestamp(0, UTC) if pulled else None
    return Named(id=str(inspected["Id"]), at=told or datetime.max.replace(tzinfo=UTC))


def references(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags and the digest references. A digest-only pull stands among the tags on the containerd store."""
    tags = [str(tag) for tag in row.get("RepoTags") or [] if not str(tag).startswith("<none>")]
    digests = [str(item) for item in row.get("RepoDigests") or [] if not str(item).startswith("<none>")]
    named = {tag for tag in tags if "@" not in tag}
    return tuple(sorted(named)), tuple(sorted({*digests, *(tag for tag in tags if "@" in tag)}))


def removed(answer: str) -> Removed:
    """The answer to a DELETE of an image: `[{"Untagged": "team/a:1"}, {"Deleted": "sha256:..."}]`."""
    try:
        entries = json.loads(answer)
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


def details(inspected: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> Details:
    """Inspect and history as one. The engine gives history newest first; ours starts at the base."""
    config, history = inspected.get("Config") or {}, tuple(history)
    steps = [HistoryStep(str(step.get("CreatedBy") or ""), int(step.get("Size") or 0)) for step in history]
    variables = (str(line).partition("=") for line in config.get("Env") or [])
    return Details(
        layers=tuple((inspected.get("RootFS") or {}).get("Layers") or []),
        parent=str(inspected.get("Parent") or ""),
        created=units.parse_time(str(inspected.get("Created") or "")),
        env={name: value for name, _, value in variables},
        labels={str(key): str(value) for key, value in (config.get("Labels") or {}).items()},
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        history=tuple(reversed(steps)),
        committed=commits.may_be_commit(inspected, history),
    )


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(word) for word in value) if isinstance(value, list) else ()
