"""What is fuzzed. A target reads bytes and asserts what its reader promises; any exception is a find.

Without a fuzzer the targets are plain functions: a test runs each of them on its seeds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.fuzz import from_broker, from_engine, from_images, from_layers, from_operator


@dataclass(frozen=True, slots=True)
class Target:
    """One reader. `seeds`: inputs that it takes, for the fuzzer to change."""

    enter: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


TARGETS: Mapping[str, Target] = {
    "duration": Target(from_operator.duration, from_operator.DURATIONS),
    "size": Target(from_operator.size, from_operator.SIZES),
    "configuration": Target(from_operator.configuration, from_operator.FILES),
    "event": Target(from_engine.event, from_engine.EVENTS),
    "ring": Target(from_engine.ring, from_engine.RINGS),
    "container": Target(from_engine.container, from_engine.CONTAINERS),
    "inspect": Target(from_engine.inspect, from_engine.INSPECTS),
    "acknowledgement": Target(from_broker.acknowledgement, from_broker.ACKS),
    "names": Target(from_images.names, from_images.NAMES),
    "tags": Target(from_images.tag, from_images.TAGS),
    "env": Target(from_images.env, from_images.ENV),
    "labels": Target(from_images.labels, from_images.LABELS),
    "history": Target(from_images.history, from_images.HISTORY),
    "version-file": Target(from_layers.version_file_of_torch, from_layers.VERSION_FILES),
    "layer-folders": Target(from_layers.folders, from_layers.FOLDERS),
    "guessed-paths": Target(from_layers.guessed, (b"/opt/venv/bin:/usr/bin",)),
    "shell": Target(from_images.shell, from_images.PROGRAMS),
}
