"""Describes the containers that use an image, and decides whether their runs count as uses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.core import globs as patterns
from agent.core.images.references import familiar, short

PROJECT = "com.docker.compose.project"  # set by Compose
USER = ("torchkeeper.user", "user", "owner")  # labels that name a person; the first one set counts


def describe_container(name: str, labels: Mapping[str, str]) -> str:
    """A container for people: `trainer (project llm, user alice)`."""
    user = next((labels[key] for key in USER if labels.get(key)), "")
    details = [f"project {labels[PROJECT]}"] if labels.get(PROJECT) else []
    details += [f"user {user}"] if user else []
    return f"{name} ({', '.join(details)})" if details else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The facts of a container, from an event or a listing, that `usage.ignore_containers` is matched with."""

    name: str = ""
    image: str = ""  # as written by the client that created the container
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IgnoredContainers:
    """Containers whose runs are not uses, by the patterns of `usage.ignore_containers`.

    A pattern of the form `key=value` is a glob on each label, and on nothing else. Any other pattern is a glob on the
    container's name, and matched with its image (see `globs`): as written, and without `docker.io/library/`. The
    implied tag `latest` is matched only with patterns that have a tag: `trivy:latest` matches a run of `trivy`, but
    `*test*` does not match every run without a tag. An ID has no implied tag.
    """

    patterns: tuple[str, ...] = ()

    def pattern_for(self, run: Run) -> str:
        """The first pattern that matches a run; "" if none does, so that the run is a use."""
        return next((pattern for pattern in self.patterns if _matches(pattern, run)), "")


def _matches(pattern: str, run: Run) -> bool:
    if "=" in pattern:
        return any(patterns.glob(pattern, f"{key}={value}") for key, value in run.labels.items())
    return patterns.glob(pattern, run.name) or any(patterns.matches(pattern, text) for text in _images(pattern, run))


def _images(pattern: str, run: Run) -> Iterator[str]:
    """The image of a run, in each form that a pattern may match."""
    if not run.image:
        return
    yield run.image
    yield short(run.image)
    if "@" in run.image or (patterns.tag_part(pattern) and not _is_id(run)):
        yield familiar(run.image)


def _is_id(run: Run) -> bool:
    """Whether the image was written as an ID or the beginning of one."""
    digits = run.image.removeprefix("sha256:")
    return digits != run.image or run.image_id.removeprefix("sha256:").startswith(digits)
