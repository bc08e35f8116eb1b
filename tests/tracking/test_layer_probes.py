"""An agent that reads layers: evictions wait for it, and each image is read once in each image store."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters import background
from agent.adapters.engine import EngineError, EngineInfo, EngineUnavailable
from agent.adapters.layers.stack import Reader
from agent.adapters.sqlite.store import Store
from agent.core.model import Class, Image, Verdict
from agent.core.pytorch import classify, layer_probe, operators
from agent.core.pytorch.layer_probe import LayerProbe, ProbeResult
from agent.tracking.layer_probes import LayerProbes, Probing
from tests.support import builders, torch_file
from tests.support.fake_host import FakeHost
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.executor import InlineExecutor
from tests.support.stores import named_store

IMAGE = builders.pytorch_image("torch", "team/torch:1")


class LayeredEngine:
    """An engine in memory whose layers are folders here."""

    def __init__(self, folder: Path, host: FakeHost) -> None:
        self.docker: FakeDocker = host.docker
        self.engine = FakeEngine(self.docker)
        self.store: Store = named_store(host.db, host.folder, "gpu-07", executor=InlineExecutor())
        self.docker.root = str(folder)
        (folder / "overlay2").mkdir()

    def add(self, image: Image, *, torch: str = "") -> Image:
        """An image of one layer, which has a torch or nothing."""
        layer = Path(self.docker.root, "overlay2", image.id.removeprefix("sha256:"), "diff")
        layer.mkdir(parents=True)
        if torch:
            (layer / torch_file.PLACE).parent.mkdir(parents=True)
            (layer / torch_file.PLACE).write_text(torch_file.text(torch))
        self.docker.add(image)
        self.docker.images[image.id].folders = (str(layer),)
        return image

    async def looks(self, **how: object) -> LayerProbes:
        """Those of a new process."""
        made = LayerProbes(self.engine, **how)  # type: ignore[arg-type]
        await self.begin(made)
        return made

    async def begin(self, looks: LayerProbes) -> None:
        info: EngineInfo = await self.engine.connect()
        self.engine_store = await self.store.engine(info)
        await looks.begin(info, self.engine_store)

    def unmount(self) -> None:
        Path(self.docker.root, "overlay2").rename(Path(self.docker.root, "away"))

    def asked(self) -> int:
        return self.engine.counts().get("layer_folders", 0)


@pytest.fixture
async def layered(tmp_path: Path, host: FakeHost) -> LayeredEngine:
    return LayeredEngine(tmp_path, host)


async def settle(looks: LayerProbes, *images: Image) -> tuple[list[Class], bool]:
    verdicts, unfinished = await looks.settle(images, classify.classify(images))
    return [verdicts[image.id].kind for image in images], unfinished


async def test_an_image_without_torch_is_ambiguous_and_one_with_it_is_confirmed(layered: LayeredEngine) -> None:
    without, torch = layered.add(IMAGE), layered.add(builders.pytorch_image("with", "team/with:1"), torch="2.5.1+cpu")
    verdicts, _ = await (await layered.looks()).settle((without, torch), classify.classify((without, torch)))
    assert (verdicts[without.id].kind, verdicts[without.id].torch_version) == (Class.AMBIGUOUS, None)
    assert (verdicts[torch.id].kind, verdicts[torch.id].torch_version) == (Class.PYTORCH, "2.5.1")
    assert verdicts[torch.id].accelerator == "cpu"


async def test_the_layers_of_an_image_without_a_sign_of_pytorch_are_not_read(layered: LayeredEngine) -> None:
    plain = layered.add(builders.make_image("plain", "postgres:16"), torch="2.5.1")
    assert await settle(await layered.looks(probing=Probing(lifts=True)), plain) == ([Class.OTHER], False)
    assert layered.asked() == 0


async def test_an_image_that_only_the_operator_names_is_read_and_what_has_no_torch_is_not_lifted(
    layered: LayeredEngine,
) -> None:
    known = ("team/plain",)
    plain = layered.add(builders.make_image("plain", "team/plain:1", details=builders.make_details("plain")))
    real = layered.add(
        builders.make_image("real", "team/plain:2", details=builders.make_details("real")), torch="2.9.0+cu128"
    )
    looks = await layered.looks(probing=Probing(known=known))
    found, waits = await looks.settle([plain, real], classify.classify([plain, real]))
    assert ({id_: verdict.kind for id_, verdict in found.items()}, waits) == (
        {plain.id: Class.OTHER, real.id: Class.OTHER},
        False,
    )
    lifted = operators.lifted(found, [plain, real], known)
    assert [(lifted[one.id].kind, lifted[one.id].torch_version) for one in (plain, real)] == [
        (Class.OTHER, None),
        (Class.PYTORCH, "2.9.0"),
    ]


async def test_an_image_is_read_once_by_one_process_and_by_the_next(layered: LayeredEngine) -> None:
    image = layered.add(IMAGE)
    first = await layered.looks()
    for _ in range(2):
        assert await settle(first, image) == ([Class.AMBIGUOUS], False)
    assert await settle(await layered.looks(), image) == ([Class.AMBIGUOUS], False)
    assert layered.asked() == 1


async def test_newer_rules_read_the_layers_again(layered: LayeredEngine, host: FakeHost) -> None:
    await settle(await layered.looks(), layered.add(IMAGE))
    host.db.execute("UPDATE layer_looks SET rules = rules - 1")
    await settle(await layered.looks(), IMAGE)
    assert layered.asked() == 2


async def test_an_image_that_could_not_be_read_is_read_again_by_the_next_process_and_not_before(
    layered: LayeredEngine,
) -> None:
    image = layered.add(IMAGE)
    layered.docker.images[image.id].folders = ("/nowhere/at/all",)
    first = await layered.looks()
    for _ in range(2):
        assert await settle(first, image) == ([Class.PYTORCH], False)
    assert layered.asked() == 1
    await settle(await layered.looks(), image)
    assert layered.asked() == 2


async def test_nothing_is_known_of_another_root_directory(layered: LayeredEngine, tmp_path: Path) -> None:
    looks = await layered.looks()
    assert await settle(looks, layered.add(IMAGE)) == ([Class.AMBIGUOUS], False)
    other = tmp_path / "other"
    (other / "overlay2").mkdir(parents=True)
    layered.docker.move_to(str(other))
    await layered.begin(looks)
    assert await settle(looks, layered.add(IMAGE, torch="2.5.1")) == ([Class.PYTORCH], False)


async def test_a_listing_waits_a_moment_and_the_image_is_kept_until_it_is_read(
    layered: LayeredEngine,
) -> None:
    images = [layered.add(builders.pytorch_image(f"torch-{n}", f"team/{n}:1"), torch="2.5.1") for n in range(3)]
    go_on = threading.Event()

    class SlowReader(Reader):
        def probe(self, folders: Sequence[str]) -> LayerProbe:
            assert go_on.wait(60)
            return super().probe(folders)

    looks = await layered.looks(patience=0.05, make_reader=SlowReader)
    assert await settle(looks, *images) == ([Class.AMBIGUOUS] * 3, True)
    go_on.set()
    looks.patience = 60.0
    assert await settle(looks, *images) == ([Class.PYTORCH] * 3, False)
    assert layered.asked() == 3


async def test_a_look_that_never_ends_is_given_up_and_nothing_waits_for_it(
    layered: LayeredEngine,
) -> None:
    never = threading.Event()

    class EndlessReader(Reader):
        def probe(self, folders: Sequence[str]) -> LayerProbe:
            never.wait()
            return super().probe(folders)

    looks = await layered.looks(patience=0.05, give_up_after=0.0, make_reader=EndlessReader)
    assert await settle(looks, layered.add(IMAGE)) == ([Class.PYTORCH], False)
    never.set()


async def test_a_look_that_fails_by_a_bug_leaves_the_verdict(layered: LayeredEngine) -> None:
    class BrokenReader(Reader):
        def probe(self, folders: Sequence[str]) -> LayerProbe:
            raise ZeroDivisionError

    looks = await layered.looks(make_reader=BrokenReader)
    assert await settle(looks, layered.add(IMAGE)) == ([Class.PYTORCH], False)


async def test_an_image_that_the_engine_cannot_be_asked_about_leaves_the_verdict(layered: LayeredEngine) -> None:
    layered.engine.on("layer_folders", EngineError(500, "it broke"))
    assert await settle(await layered.looks(), layered.add(IMAGE)) == ([Class.PYTORCH], False)


async def test_an_engine_that_does_not_answer_ends_the_listing(layered: LayeredEngine) -> None:
    layered.engine.on("layer_folders", EngineUnavailable(0, "no answer"))
    with pytest.raises(EngineUnavailable):
        await settle(await layered.looks(), layered.add(IMAGE))


async def test_without_the_folders_stored_results_count_and_nothing_waits(layered: LayeredEngine) -> None:
    known, new = layered.add(IMAGE), layered.add(builders.pytorch_image("new", "team/new:1"))
    await settle(await layered.looks(), known)
    layered.unmount()
    assert await settle(await layered.looks(), known, new) == ([Class.AMBIGUOUS, Class.PYTORCH], False)


async def test_switched_off_no_layers_are_read_and_earlier_results_do_not_count(
    layered: LayeredEngine,
) -> None:
    image = layered.add(IMAGE)
    await settle(await layered.looks(), image)
    assert await settle(await layered.looks(probing=Probing(wanted=False)), image) == ([Class.PYTORCH], False)


async def test_a_look_is_forgotten_with_its_image(layered: LayeredEngine) -> None:
    await settle(await layered.looks(), layered.add(IMAGE))
    now = layered.docker.clock.now()
    await layered.store.prune(now, now, declare_dropped=False)
    assert await layered.engine_store.load_layer_probes() == {}


async def test_a_stored_result_is_read_back_as_it_was(layered: LayeredEngine) -> None:
    look = layer_probe.LayerProbe(
        result=ProbeResult.TORCH, path="/a", layer=2, torch_version="2.5.1", accelerator="cpu"
    )
    await layered.looks()
    await layered.engine_store.save_layer_probe(IMAGE.id, look)
    assert await layered.engine_store.load_layer_probes() == {IMAGE.id: look}


async def test_a_thread_in_the_background_has_a_low_priority() -> None:
    import os

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    here = priority()
    assert await background.run(priority) == background.NICENESS
    assert priority() == here


async def test_a_verdict_without_details_stays(layered: LayeredEngine) -> None:
    failed = replace(Verdict(kind=Class.OTHER), failure="it broke")
    verdicts, _ = await (await layered.looks()).settle((IMAGE,), {IMAGE.id: failed})
    assert verdicts == {IMAGE.id: failed}
