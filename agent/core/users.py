"""Who uses an image: a container in words, and whether its runs count as uses at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core import rules
from agent.core.events import familiar

PROJECT = "com.docker.compose.project"  # set by Compose
USER = ("torchkeeper.user", "user", "owner")  # labels that name a person; the first one set counts


def words(name: str, labels: Mapping[str, str]) -> str:
    """A container for people: `trainer (project llm, user alice)`."""
    user = next((labels[key] for key in USER if labels.get(key)), "")
    told = [f"project {labels[PROJECT]}"] if labels.get(PROJECT) else []
    told += [f"user {user}"] if user else []
    return f"{name} ({', '.join(told)})" if told else name


@dataclass(frozen=True, slots=True)
class Ignored:
    """Globs on a container's name, on its image as it was named, or on a label as `key=value`."""

    patterns: tuple[str, ...] = ()

    def covers(self, name: str, image: str, labels: Mapping[str, str]) -> bool:
        """Whether the runs of such a container are no uses."""
        if not self.patterns:
            return False
        told = [name, image, familiar(image), *(f"{key}={value}" for key, value in labels.items())]
        return rules.any_match(self.patterns, tuple(filter(None, told)))
