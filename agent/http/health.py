"""Whether the agent is ready: it watches the engine, can write its state, can read the pins, and its sweeps succeed."""

from dataclasses import dataclass

from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What readiness depends on. `alerts`: those that stand, by ID."""

    watched: bool
    swept: bool  # there was a sweep without an error
    state_error: str  # why nothing can be written to the state folder; "" if it can
    alerts: dict[str, payloads.Alert]


@dataclass(frozen=True, slots=True)
class Check:
    """One reason to be ready, or not to be."""

    ok: bool
    detail: str


def checks(now: Condition) -> dict[str, Check]:
    """The checks by name. Those that `torchkeeper check` has, too, have the same name there."""
    engine = "watching the engine" if now.watched else "the engine's event stream is not proven"
    return {
        "engine": _unless(now, AlertId.ENGINE_DOWN, Check(now.watched, engine)),
        "state": _unless(now, AlertId.STATE_FULL, Check(not now.state_error, now.state_error or "can be written")),
        "pins": _unless(now, AlertId.HOLDS_UNREADABLE, Check(True, "can be read")),
        "sweep": _unless(
            now,
            AlertId.SWEEP_FAILED,
            Check(now.swept, "the last sweep succeeded" if now.swept else "none has ended yet"),
        ),
    }


def _unless(now: Condition, alert: AlertId, otherwise: Check) -> Check:
    """The alert's message while it stands, else the other result."""
    standing = now.alerts.get(alert)
    return otherwise if standing is None else Check(False, standing.message)
