"""The layers of images of real engines: six kinds of them, of which three have a torch."""

import json
import os
from collections.abc import AsyncIterator, Mapping

import pytest

from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineInfo
from agent.adapters.layers import folders as layer_folders
from agent.adapters.layers.stack import Reader
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import LayerProbe
from agent.core.pytorch.version_file import Torch
from tests.support import dockerd, images, torch_file

ON_GRAPH_DRIVERS = pytest.mark.parametrize("kind", ["20.10", "26.1", "current"], indirect=True, scope="session")
ON_CONTAINERD = pytest.mark.parametrize(
    "kind", ["26.1-containerd", "current-containerd"], indirect=True, scope="session"
)
PACKAGES, FILE = torch_file.PLACE.rpartition("/torch/")[0], torch_file.PLACE
TORCH = {FILE: torch_file.text("2.4.0+cu121", cuda="12.1").encode()}
KINDS: Mapping[str, tuple[list[dict[str, bytes]], LayerProbe]] = {
    "torch": ([TORCH], layer_probe.found({f"/{FILE}": (1, Torch("2.4.0", "cuda12.1"))})),
    "whiteout": ([TORCH, {f"{PACKAGES}/.wh.torch": b""}], layer_probe.NOTHING),
    "opaque": ([TORCH, {f"{PACKAGES}/.wh..wh..opq": b"", f"{PACKAGES}/numpy/x": b"x"}], layer_probe.NOTHING),
    "upgraded": (
        [TORCH, {FILE: torch_file.text("2.5.1+rocm6.2", hip="6.2.1").encode()}],
        layer_probe.found({f"/{FILE}": (2, Torch("2.5.1", "rocm6.2"))}),
    ),
    "child": ([TORCH, {"srv/app": b"x"}], layer_probe.found({f"/{FILE}": (1, Torch("2.4.0", "cuda12.1"))})),
    "none": ([{f"{PACKAGES}/numpy/version.py": b"x"}], layer_probe.NOTHING),
}


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def connected(engine: dockerd.Dockerd) -> AsyncIterator[tuple[DockerEngine, EngineInfo]]:
    client = DockerEngine(engine.url)
    info = await client.connect()
    yield client, info
    await client.close()


def load(engine: dockerd.Dockerd, name: str) -> str:
    """An image of a kind; its ID. No other image has its lowest layer."""
    lowest, *more = KINDS[name][0]
    return images.load_image(engine, f"kinds/{name}:1", layers=[{"own": os.urandom(16), **lowest}, *more])


async def look(client: DockerEngine, image_id: str) -> LayerProbe:
    return Reader().probe(await client.layer_folders(image_id))


@ON_GRAPH_DRIVERS
@pytest.mark.parametrize("name", KINDS)
async def test_each_kind_of_image_is_told_apart(
    engine: dockerd.Dockerd, connected: tuple[DockerEngine, EngineInfo], name: str
) -> None:
    client, info = connected
    assert layer_folders.why_not(info) == ""
    assert await look(client, load(engine, name)) == KINDS[name][1]


@ON_GRAPH_DRIVERS
@pytest.mark.parametrize("classic", [True, False])
async def test_what_a_step_of_a_build_removed_is_not_there_and_what_it_moved_is_where_it_moved_to(
    engine: dockerd.Dockerd, connected: tuple[DockerEngine, EngineInfo], classic: bool
) -> None:
    images.import_image(engine, "builds/pytorch:2.4.0")
    python, client = PACKAGES.rpartition("/")[0], connected[0]

    def build(name: str, *command: str) -> str:
        line = f"RUN {json.dumps(['/bin/busybox', *command])}"
        return images.build_child(engine, "builds/pytorch:2.4.0", f"builds/{name}:1", classic=classic, lines=[line])

    removed = build("removed", "rm", "-r", f"/{PACKAGES}/torch")
    assert await look(client, removed) == layer_probe.NOTHING
    moved = await look(client, build("moved", "mv", f"/{python}", "/python"))
    assert (moved.path, moved.layer, moved.torch_version) == ("/python/site-packages/torch/version.py", 2, "2.4.0")


@ON_CONTAINERD
async def test_the_containerd_store_names_no_folders_and_says_so(
    engine: dockerd.Dockerd, connected: tuple[DockerEngine, EngineInfo]
) -> None:
    client, info = connected
    assert "containerd" in layer_folders.why_not(info)
    assert await client.layer_folders(load(engine, "torch")) == ()
