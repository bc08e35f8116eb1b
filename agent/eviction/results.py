"""The results of one eviction and of one sweep."""

from dataclasses import dataclass, field

from agent.core.policy.decision import Outcome, Plan


@dataclass(frozen=True, slots=True)
class EvictionResult:
    """The result of one eviction. `measured_bytes` is None unless it removed the image on a visible disk."""

    outcome: Outcome
    error: str | None
    measured_bytes: int | None


@dataclass(slots=True)
class SweepResult:
    """The result of one sweep: its plan before and after, and the outcome of each eviction."""

    plan: Plan  # after the last eviction so far
    initial_plan: Plan  # before the first eviction
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # image ID -> outcome
    errors: dict[str, str] = field(default_factory=dict)  # image ID -> the engine's message
    measured_bytes: int | None = None

    def add(self, image_id: str, done: EvictionResult) -> None:
        self.outcomes[image_id] = done.outcome
        if done.error is not None:
            self.errors[image_id] = done.error
        if done.measured_bytes is not None:
            self.measured_bytes = (self.measured_bytes or 0) + done.measured_bytes
