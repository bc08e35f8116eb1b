"""The settings that a running agent uses, and how its parts take over others."""

from datetime import datetime
from pathlib import Path

from agent.adapters.clock import Clock
from agent.adapters.engine import EngineInfo
from agent.config.settings import Settings
from agent.core.policy.decision import Mode
from agent.core.protocol.alerts import AlertId
from agent.core.usage.attribution import IgnoredContainers
from agent.daemon import no_effect
from agent.eviction.sweeper import Sweeper
from agent.reporting.host_report import HostReport
from agent.tracking.ingestor import EventIngestor
from agent.tracking.layer_probes import Probing


class SettingsInForce:
    """The present settings. A reload replaces them as a whole, so that a reader never sees parts of two."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Applier:
    """Gives new settings to the parts of a running agent that use them. What needs a restart is not among these."""

    def __init__(
        self,
        in_force: SettingsInForce,
        *,
        sweeper: Sweeper,
        ingestor: EventIngestor,
        host_report: HostReport,
        folder: Path,
        clock: Clock,
    ) -> None:
        """`folder`: the state folder."""
        self._in_force = in_force
        self._sweeper = sweeper
        self._ingestor = ingestor
        self._host_report = host_report
        self._folder = folder
        self._clock = clock

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on, as after a restart with them; `policy.change_grace` applies."""
        now, rules = self._clock.now(), settings.core_policy()
        self._in_force.settings = settings
        self._sweeper.take(rules, pause=settings.limits.pause, grace=settings.policy.change_grace)
        ignored = IgnoredContainers(settings.usage.ignore_containers)
        self._ingestor.take(ignored, settings.usage.gap_tolerance, probing(settings))
        show_useless_settings(settings, self._host_report, self._folder, now)
        self._show_info(settings, now)

    def _show_info(self, settings: Settings, now: datetime) -> None:
        info, engine = self._host_report.info, self._ingestor.view.engine
        if info is not None and engine is not None:  # otherwise the first info will have these settings
            new = {"mode": mode_in_force(settings, engine), "policy": policy_in_force(settings), "at": now}
            self._host_report.show_info(info.model_copy(update=new))


def show_useless_settings(settings: Settings, host_report: HostReport, folder: Path, now: datetime) -> None:
    """Raise the alerts about settings without an effect, and clear those that no longer apply."""
    found = no_effect.alerts(settings, folder, now)
    for alert in (AlertId.PATTERN_MATCHES_NOTHING, AlertId.PINS_ELSEWHERE):
        if alert in found:
            host_report.raise_alert(alert, found[alert], now)
        else:
            host_report.clear_alert(alert)


def probing(settings: Settings) -> Probing:
    """The settings of the probes of layers."""
    images = settings.images
    return Probing(wanted=images.probe_layers, lifts=images.ambiguous == "evict", known=images.known)


def mode_in_force(settings: Settings, engine: EngineInfo) -> Mode:
    """What the agent does on this engine: on some it only observes, whatever the settings say."""
    return Mode.OBSERVE if engine.observe_only else Mode(settings.agent.mode)


def policy_in_force(settings: Settings) -> dict[str, object]:
    """The settings that decide, as they stand in a configuration file. Never a secret."""
    return {
        "images": settings.images.model_dump(mode="json"),
        "policy": settings.policy.model_dump(mode="json"),
        "pressure": settings.pressure.model_dump(mode="json"),
        "schedule": settings.schedule.model_dump(mode="json"),
        "cleanup": settings.cleanup.model_dump(mode="json"),
        "limits": settings.limits.model_dump(mode="json"),
        "usage": settings.usage.model_dump(mode="json"),
    }
