"""What was built, written down: judging it again takes neither an engine nor minutes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from agent.core import model

RECORD = Path(__file__).with_name("recorded.jsonl")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One image that was built: whether torch is in its file system, and what its metadata say."""

    case: str
    builder: str
    has_torch: bool
    env: dict[str, str]
    labels: dict[str, str]
    entrypoint: list[str]
    command: list[str]
    history: list[str]
    layers: tuple[str, ...] = field(default=(), compare=False)  # not written: other ones in each build

    @property
    def image(self) -> model.Image:
        """As the adapter read it, under a name that tells nothing."""
        details = model.Details(
            layers=self.layers,
            env=self.env,
            labels=self.labels,
            entrypoint=tuple(self.entrypoint),
            command=tuple(self.command),
            history=tuple(model.HistoryStep(line, 1) for line in self.history),
        )
        return model.Image(id=f"sha256:{self.builder}/{self.case}", references=("corp/app:1",), details=details)


def of(case: str, builder: str, has_torch: bool, details: model.Details) -> Recorded:
    return Recorded(
        case,
        builder,
        has_torch,
        env=dict(details.env),
        labels=dict(details.labels),
        entrypoint=list(details.entrypoint),
        command=list(details.command),
        history=[step.created_by for step in details.history],
        layers=details.layers,
    )


def read() -> list[Recorded]:
    return [Recorded(**json.loads(line)) for line in RECORD.read_text().splitlines()]


def write(rows: Iterable[Recorded]) -> None:
    RECORD.write_text("".join(f"{json.dumps(_document(row), ensure_ascii=False)}\n" for row in rows))


def _document(row: Recorded) -> dict[str, object]:
    return {part.name: getattr(row, part.name) for part in fields(row) if part.compare}
