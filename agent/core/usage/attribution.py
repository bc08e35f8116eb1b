"""Who uses an image: a container in words, and whether its runs count as uses at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.core import globs as patterns
from agent.core.images.references import familiar, short

PROJECT = "com.docker.compose.project"  # set by Compose
USER = ("torchkeeper.user", "user", "owner")  # labels that name a person; the first one set counts


def describe_container(name: str, labels: Mapping[str, str]) -> str:
    """A container for people: `trainer (project llm, user alice)`."""
    user = next((labels[key] for key in USER if labels.get(key)), "")
    told = [f"project {labels[PROJECT]}"] if labels.get(PROJECT) else []
    told += [f"user {user}"] if user else []
    return f"{name} ({', '.join(told)})" if told else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A container, as an event or a listing shows it, for the patterns of `usage.ignore_containers`."""

    name: str = ""
    image: str = ""  # as whoever made the container wrote it
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IgnoredContainers:
    """Containers whose runs are not uses, by the patterns of `usage.ignore_containers`.

    A pattern of the form `key=value` is a glob on each label, and on nothing else. Any other is a glob on the
    container's name, and a pattern (see `patterns`) on its image: as it was written, and without `docker.io/library/`.
    A tag that nobody wrote is added only for a pattern that has a tag itself: `trivy:latest` matches a run of `trivy`,
    and `*test*` does not match the `latest` of every run without a tag. An ID never gets one.
    """

    patterns: tuple[str, ...] = ()

    def pattern_for(self, run: Run) -> str:
        """The first pattern that matches a run; "" where none does, so that it is a use."""
        return next((pattern for pattern in self.patterns if _matches(pattern, run)), "")


def _matches(pattern: str, run: Run) -> bool:
    if "=" in pattern:
        return any(patterns.glob(pattern, f"{key}={value}") for key, value in run.labels.items())
    return patterns.glob(pattern, run.name) or any(patterns.matches(pattern, text) for text in _images(pattern, run))


def _images(pattern: str, run: Run) -> Iterator[str]:
    """The image of a run in each form in which a pattern may mean it."""
    if not run.image:
        return
    yield run.image
    yield short(run.image)
    if "@" in run.image or (patterns.tag_part(pattern) and not _is_id(run)):
        yield familiar(run.image)


def _is_id(run: Run) -> bool:
    """Whether the image was written as its ID or the start of it."""
    digits = run.image.removeprefix("sha256:")
    return digits != run.image or run.image_id.removeprefix("sha256:").startswith(digits)
