"""A Dockerfile of the suite, and what its metadata can tell of it. Whether torch is in it, only its build tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

CLASSIC, BUILDKIT = "classic", "buildkit"
BASE = "built/debian:1"  # dash is its sh, and it has bash
ALPINE = "built/alpine:1"  # busybox is its sh, which knows `[[`
OFFLINE = "built/offline:1"  # the first one without a network: every installation by pip fails
WITH_ENV = "built/with-env:1"  # the first one with WITH=yes, a variable of which its history says nothing


class Shows(Enum):
    """What the metadata of an image that has torch can show."""

    SURELY = "a RUN line of the image installs torch, and what is visible proves that it ran"
    PERHAPS = "whether the installation ran or worked depends on what is not visible"
    NOT = "torch came by COPY, or by a script or a file that a RUN line only names"


@dataclass(frozen=True, slots=True)
class Case:
    """What is built: the lines below FROM, with what stands above it, and the build arguments."""

    lines: tuple[str, ...]
    shows: Shows = Shows.SURELY
    base: str = BASE
    head: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    script: str = "pip install $1\n"  # what script.sh does, a file beside the Dockerfile
    builders: tuple[str, ...] = (CLASSIC, BUILDKIT)

    @property
    def dockerfile(self) -> str:
        return "\n".join([*self.head, f"FROM {self.base}", *self.lines, ""])


def build(
    *lines: str,
    shows: Shows = Shows.SURELY,
    base: str = BASE,
    head: tuple[str, ...] = (),
    arguments: Mapping[str, str] | None = None,
    script: str = "pip install $1\n",
    builders: tuple[str, ...] = (CLASSIC, BUILDKIT),
) -> Case:
    return Case(lines, shows, base, head, arguments or {}, script, builders)


def run(*commands: str, shows: Shows = Shows.SURELY, builders: tuple[str, ...] = (CLASSIC, BUILDKIT)) -> Case:
    """One RUN line for each command."""
    return build(*(f"RUN {command}" for command in commands), shows=shows, builders=builders)


def each_value(
    forms: Mapping[str, str], values: Iterable[str] = ("yes", "no"), shows: Shows = Shows.SURELY
) -> dict[str, Case]:
    """Each form with each value of the build argument WITH, which is its default or overrides another one."""
    cases = {}
    for number, (name, command) in enumerate(forms.items()):
        for value in values:
            default = ["ARG WITH=other", f"ARG WITH={value}"][number % 2]
            given = {} if number % 2 else {"WITH": value}
            cases[f"{name}, {value or 'empty'}"] = build(default, f"RUN {command}", shows=shows, arguments=given)
    return cases
