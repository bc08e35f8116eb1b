"""Probes the layers of images, each image once, and adjusts the verdicts of a listing by the results.

A listing waits at most `patience` for probes. Until its probe is done, an image does not count as PyTorch, so it is not
evicted. Docker's events do not wait for probes.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from agent.adapters import background
from agent.adapters.engine import Engine, EngineError, EngineInfo, EngineUnavailable
from agent.adapters.layers import folders as layer_folders
from agent.adapters.layers.stack import Reader
from agent.adapters.sqlite.engine_store import EngineStore
from agent.adapters.state_errors import StateError
from agent.core.images import isolation
from agent.core.model import Image, Verdict
from agent.core.pytorch import layer_probe, operators
from agent.core.pytorch.layer_probe import LayerProbe, ProbeResult

log = structlog.get_logger()

PATIENCE = 2.0  # seconds that a listing waits for probes
GIVE_UP = 600.0  # seconds for one image; otherwise a file system that hangs would be waited for without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """The settings of `[images]` that concern probes."""

    wanted: bool = True  # images.probe_layers
    lifts: bool = False  # an ambiguous image becomes PyTorch if a probe finds torch in it
    known: tuple[str, ...] = ()  # the patterns of images.known; images that they match are always probed


class LayerProbes:
    """The probes of the images of the engine that is connected now."""

    def __init__(
        self,
        engine: Engine,
        *,
        probing: Probing = Probing(),
        patience: float = PATIENCE,
        give_up_after: float = GIVE_UP,
        make_reader: Callable[[], Reader] = Reader,
    ) -> None:
        """`patience`: seconds that a listing waits. `give_up_after`: seconds for one image; then probing stops."""
        self._engine = engine
        self._settings = probing
        self.patience = patience
        self._give_up_after = give_up_after
        self._make_reader = make_reader
        self._reader = make_reader()
        self._info: EngineInfo | None = None
        self._engine_store: EngineStore | None = None
        self._why_not = "no engine is known yet"
        self._probes: dict[str, LayerProbe] = {}
        self._loaded = False  # whether the stored probes of this connection are in `_probes`
        self._running: tuple[str, asyncio.Future[LayerProbe], float] | None = None  # image ID, and when it began

    async def begin(self, info: EngineInfo, engine_store: EngineStore) -> None:
        """Start a connection. Drop the probes of another engine, image store or root directory."""
        if self._info is None or self._info.key != info.key:
            self._probes, self._running, self._reader = {}, None, self._make_reader()
        self._info, self._engine_store, self._loaded = info, engine_store, False

    def take(self, probing: Probing) -> None:
        """Use other settings from the next listing on. The results of probes stay."""
        self._settings = probing

    async def _load(self, info: EngineInfo, engine_store: EngineStore) -> None:
        """Load the stored probes, once for each connection and only if probes are wanted."""
        self._probes |= await engine_store.load_layer_probes()
        self._why_not = await asyncio.to_thread(layer_folders.why_not, info)
        self._loaded = True

    async def settle(self, images: Sequence[Image], verdicts: Mapping[str, Verdict]) -> tuple[dict[str, Verdict], bool]:
        """The verdicts after the probes, and whether some probes are not done yet. Raises EngineUnavailable."""
        settings = self._settings  # a reload may replace them meanwhile
        if not settings.wanted:
            return dict(verdicts), False
        if not self._loaded and self._info is not None and self._engine_store is not None:
            await self._load(self._info, self._engine_store)
        listed = _listed(images, settings.known)
        needed = [
            image.id
            for image in images
            if image.id in verdicts and layer_probe.is_needed(verdicts[image.id], listed=image.id in listed)
        ]
        self._forget_unknown_but(needed)
        if not self._why_not:
            await self._probe_images([image_id for image_id in needed if image_id not in self._probes])
        waiting = {image_id for image_id in needed if image_id not in self._probes and not self._why_not}
        found = {
            image_id: layer_probe.apply(
                verdict, self._probe_of(image_id, waiting), lifts=settings.lifts, listed=image_id in listed
            )
            for image_id, verdict in verdicts.items()
        }
        return found, bool(waiting)

    def _probe_of(self, image_id: str, waiting: set[str]) -> LayerProbe | None:
        return None if image_id in waiting else self._probes.get(image_id, layer_probe.unknown(self._why_not))

    def _forget_unknown_but(self, here: Iterable[str]) -> None:
        """Drop failed probes of all other images: one that is listed again is probed again."""
        known = set(here)
        self._probes = {
            key: probe for key, probe in self._probes.items() if key in known or probe.result is not ProbeResult.UNKNOWN
        }

    async def _probe_images(self, image_ids: Iterable[str]) -> None:
        """Probe images in turn until `patience` is over. The probe that runs then continues in its thread."""
        until = time.monotonic() + self.patience
        if self._running is not None and not await self._finish(until):
            return
        for image_id in image_ids:
            if image_id not in self._probes:
                await self._start(image_id)
                if not await self._finish(until):
                    return

    async def _start(self, image_id: str) -> None:
        """Start a probe. Raises EngineUnavailable."""
        try:
            folders = await self._engine.layer_folders(image_id)
        except EngineUnavailable:
            raise
        except EngineError as error:
            self._probes[image_id] = layer_probe.unknown(str(error))
            return
        reader = self._reader
        self._running = image_id, background.run(lambda: reader.probe(folders)), time.monotonic()

    async def _finish(self, until: float) -> bool:
        """Wait for the running probe until the monotonic time `until`. Returns whether no probe runs any more."""
        if self._running is None:
            return True
        image_id, future, began = self._running
        done, _ = await asyncio.wait({future}, timeout=max(0.0, until - time.monotonic()))
        if done:
            self._running = None
            await self._keep(image_id, _result(future))
            return True
        if time.monotonic() - began > self._give_up_after:
            self._why_not = f"a layer could not be read within {self._give_up_after:.0f} s"
            log.warning("no more layers are read until the next start", action="read-layers", why=self._why_not)
        return False

    async def _keep(self, image_id: str, probe: LayerProbe) -> None:
        self._probes[image_id] = probe
        if probe.result is ProbeResult.UNKNOWN:
            log.info("the layers of an image could not be read", action="read-layers", image=image_id, why=probe.why)
            return
        assert self._engine_store is not None  # noqa: S101 - `begin` comes before the first probe
        with contextlib.suppress(StateError):  # the next process then probes the image again
            await self._engine_store.save_layer_probe(image_id, probe)


def _listed(images: Iterable[Image], known: tuple[str, ...]) -> set[str]:
    """IDs of the images that images.known matches. Images with unreadable names are kept anyway, and left out."""
    if not known:
        return set()
    named, _ = isolation.each(images, lambda image: operators.naming(image, known))
    return {image_id for image_id, pattern in named.items() if pattern}


def _result(future: "asyncio.Future[LayerProbe]") -> LayerProbe:
    """The result of a probe. A bug in the probe makes it unknown, and is not raised."""
    error = future.exception()
    return layer_probe.unknown(f"it failed: {error!r}") if error is not None else future.result()
