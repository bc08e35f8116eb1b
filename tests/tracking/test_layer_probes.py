"""An agent that reads layers: evictions wait for it, each image is read once, and no look counts for another store."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters import background
from agent.adapters.engine import EngineError, EngineInfo, EngineUnavailable
from agent.adapters.sqlite.store import Store
from agent.core.model import Class, Image, Verdict
from agent.core.pytorch import classify, layer_probe, operators
from agent.core.pytorch.layer_probe import ProbeResult
from agent.tracking.layer_probes import LayerProbes
from tests.support import builders, torch_file
from tests.support import fake_host as harness
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.engine import FakeEngine
from tests.support.stores import named_store

IMAGE = builders.pytorch_image("torch", "team/torch:1")


class Stage:
    """An engine in memory whose layers are folders here."""

    def __init__(self, folder: Path, host: harness.FakeHost) -> None:
        self.docker: FakeDocker = host.docker
        self.engine = FakeEngine(self.docker)
        self.store: Store = named_store(host.db, host.folder, "gpu-07", executor=harness.InlineExecutor())
        self.docker.root = str(folder)
        (folder / "overlay2").mkdir()

    def add(self, image: Image, *, torch: str = "") -> Image:
        """An image of one layer, which has a torch or nothing."""
        layer = Path(self.docker.root, "overlay2", image.id[7:19], "diff")
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
async def stage(tmp_path: Path, host: harness.FakeHost) -> Stage:
    return Stage(tmp_path, host)


async def settle(looks: LayerProbes, *images: Image) -> tuple[list[Class], bool]:
    verdicts, unfinished = await looks.settle(images, classify.classify(images))
    return [verdicts[image.id].kind for image in images], unfinished


async def test_an_image_without_torch_is_ambiguous_and_one_with_it_is_confirmed(stage: Stage) -> None:
    without, torch = stage.add(IMAGE), stage.add(builders.pytorch_image("with", "team/with:1"), torch="2.5.1+cpu")
    verdicts, _ = await (await stage.looks()).settle((without, torch), classify.classify((without, torch)))
    assert (verdicts[without.id].kind, verdicts[without.id].torch_version) == (Class.AMBIGUOUS, None)
    assert (verdicts[torch.id].kind, verdicts[torch.id].torch_version) == (Class.PYTORCH, "2.5.1")
    assert verdicts[torch.id].accelerator == "cpu"


async def test_an_image_that_nothing_speaks_for_is_not_read(stage: Stage) -> None:
    plain = stage.add(builders.make_image("plain", "postgres:16"), torch="2.5.1")
    assert await settle(await stage.looks(lifts=True), plain) == ([Class.OTHER], False)
    assert stage.asked() == 0


async def test_an_image_that_only_the_operator_names_is_read_and_what_has_no_torch_is_not_lifted(stage: Stage) -> None:
    known = ("team/plain",)
    plain = stage.add(builders.make_image("plain", "team/plain:1", details=builders.make_details("plain")))
    real = stage.add(
        builders.make_image("real", "team/plain:2", details=builders.make_details("real")), torch="2.9.0+cu128"
    )
    looks = await stage.looks(known=known)
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


async def test_an_image_is_read_once_by_one_process_and_by_the_next(stage: Stage) -> None:
    image = stage.add(IMAGE)
    first = await stage.looks()
    for _ in range(2):
        assert await settle(first, image) == ([Class.AMBIGUOUS], False)
    assert await settle(await stage.looks(), image) == ([Class.AMBIGUOUS], False)
    assert stage.asked() == 1


async def test_newer_rules_read_it_anew(stage: Stage, host: harness.FakeHost) -> None:
    await settle(await stage.looks(), stage.add(IMAGE))
    host.db.execute("UPDATE layer_looks SET rules = rules - 1")
    await settle(await stage.looks(), IMAGE)
    assert stage.asked() == 2


async def test_what_is_unknown_is_asked_again_by_the_next_process_and_not_before(stage: Stage) -> None:
    image = stage.add(IMAGE)
    stage.docker.images[image.id].folders = ("/nowhere/at/all",)
    first = await stage.looks()
    for _ in range(2):
        assert await settle(first, image) == ([Class.PYTORCH], False)
    assert stage.asked() == 1
    await settle(await stage.looks(), image)
    assert stage.asked() == 2


async def test_nothing_is_known_of_another_root_directory(stage: Stage, tmp_path: Path) -> None:
    looks = await stage.looks()
    assert await settle(looks, stage.add(IMAGE)) == ([Class.AMBIGUOUS], False)
    other = tmp_path / "other"
    (other / "overlay2").mkdir(parents=True)
    stage.docker.move_to(str(other))
    await stage.begin(looks)
    assert await settle(looks, stage.add(IMAGE, torch="2.5.1")) == ([Class.PYTORCH], False)


async def test_a_listing_waits_a_moment_and_the_image_is_kept_until_it_is_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [stage.add(builders.pytorch_image(f"torch-{n}", f"team/{n}:1"), torch="2.5.1") for n in range(3)]
    looks, go_on = await stage.looks(patience=0.05), threading.Event()
    real = looks._reader.probe
    monkeypatch.setattr(looks._reader, "probe", lambda folders: go_on.wait(60) and real(folders))
    assert await settle(looks, *images) == ([Class.AMBIGUOUS] * 3, True)
    go_on.set()
    looks._patience = 60.0
    assert await settle(looks, *images) == ([Class.PYTORCH] * 3, False)
    assert stage.asked() == 3


async def test_a_look_that_never_ends_is_given_up_and_nothing_waits_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, never = await stage.looks(patience=0.05, give_up_after=0.0), threading.Event()
    monkeypatch.setattr(looks._reader, "probe", lambda folders: never.wait())
    assert await settle(looks, stage.add(IMAGE)) == ([Class.PYTORCH], False)
    never.set()


async def test_a_look_that_fails_by_a_bug_leaves_the_verdict(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = await stage.looks()
    monkeypatch.setattr(looks._reader, "probe", lambda folders: 1 / 0)
    assert await settle(looks, stage.add(IMAGE)) == ([Class.PYTORCH], False)


async def test_an_image_that_the_engine_cannot_be_asked_about_leaves_the_verdict(stage: Stage) -> None:
    stage.engine.on("layer_folders", EngineError(500, "it broke"))
    assert await settle(await stage.looks(), stage.add(IMAGE)) == ([Class.PYTORCH], False)


async def test_an_engine_that_does_not_answer_ends_the_listing(stage: Stage) -> None:
    stage.engine.on("layer_folders", EngineUnavailable(0, "no answer"))
    with pytest.raises(EngineUnavailable):
        await settle(await stage.looks(), stage.add(IMAGE))


async def test_without_the_folders_what_was_stored_counts_and_nothing_waits(stage: Stage) -> None:
    known, new = stage.add(IMAGE), stage.add(builders.pytorch_image("new", "team/new:1"))
    await settle(await stage.looks(), known)
    stage.unmount()
    assert await settle(await stage.looks(), known, new) == ([Class.AMBIGUOUS, Class.PYTORCH], False)


async def test_where_it_is_switched_off_nothing_is_read_and_nothing_that_was_read_counts(stage: Stage) -> None:
    image = stage.add(IMAGE)
    await settle(await stage.looks(), image)
    assert await settle(await stage.looks(wanted=False), image) == ([Class.PYTORCH], False)


async def test_a_look_is_forgotten_with_its_image(stage: Stage) -> None:
    await settle(await stage.looks(), stage.add(IMAGE))
    now = stage.docker.clock.now()
    await stage.store.prune(now, now, declare_dropped=False)
    assert await stage.engine_store.load_layer_probes() == {}


async def test_what_comes_from_the_disk_is_what_went_there(stage: Stage) -> None:
    look = layer_probe.LayerProbe(
        result=ProbeResult.TORCH, path="/a", layer=2, torch_version="2.5.1", accelerator="cpu"
    )
    await stage.looks()
    await stage.engine_store.save_layer_probe(IMAGE.id, look)
    assert await stage.engine_store.load_layer_probes() == {IMAGE.id: look}


async def test_a_thread_in_the_background_has_a_low_priority() -> None:
    import os

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    here = priority()
    assert await background.run(priority) == background.NICENESS
    assert priority() == here


async def test_a_verdict_without_details_stays(stage: Stage) -> None:
    failed = replace(Verdict(kind=Class.OTHER), failure="it broke")
    verdicts, _ = await (await stage.looks()).settle((IMAGE,), {IMAGE.id: failed})
    assert verdicts == {IMAGE.id: failed}
