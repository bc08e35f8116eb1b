"""What a message shows beside its content: when its host was alive, and whether a topic was cleared."""

from datetime import datetime

from agent.fleet.collector.batch import AlertChange, Change, InfoChange, InventoryChange, Seen, StatusChange
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.row import StandingAlert


def is_cleared(change: Change) -> bool:
    """Whether a topic of the host is empty now."""
    match change:
        case StatusChange(status=content) | InfoChange(info=content) | InventoryChange(summary=content):
            return content is None
        case AlertChange(alert=alert):
            return alert is None
        case Seen():
            return False


def of_life(change: Change) -> int | None:
    """When the host was alive; None if the message does not show that.

    A retained message is as old as its content says. So is the goodbye and the will: the broker sends a will that
    was written when its session began.
    """
    match change:
        case StatusChange(status=status) if status is not None:
            return _written(status.at, change.at, is_old=change.retain or status.state == "offline")
        case InfoChange(info=info) if info is not None:
            return _written(info.at, change.at, is_old=change.retain)
        case InventoryChange(summary=summary) if summary is not None and summary.at is not None:
            return _written(summary.at, change.at, is_old=change.retain)
        case Seen(at=at):
            return milliseconds(at)
        case _:
            return None


def standing(change: AlertChange) -> StandingAlert | None:
    return StandingAlert.of(change.host, change.alert) if change.alert else None


def _written(own: datetime, arrived: datetime, *, is_old: bool) -> int:
    return milliseconds(min(own, arrived)) if is_old else milliseconds(arrived)
