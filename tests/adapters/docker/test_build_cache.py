"""The build cache of each kind of real engine: listed, pruned by age, and no image touched."""

import asyncio

from agent.adapters.docker.engine import DockerEngine
from tests.support import dockerd, images, proc
from tests.support.times import DAY, SECOND


async def test_only_records_unused_for_so_long_are_pruned_and_every_image_stays(any_engine: dockerd.Dockerd) -> None:
    any_engine.empty()
    images.import_image(any_engine, "team/base:1")
    child = images.build_child(any_engine, "team/base:1", "team/child:1", classic=False)
    engine = DockerEngine(any_engine.url)
    await engine.connect()
    try:
        made = await engine.build_cache()
        assert sum(record.size_bytes for record in made) > 0
        assert await engine.prune_build_cache(DAY) == 0
        assert {record.id for record in await engine.build_cache()} == {record.id for record in made}
        freed = 0
        async with asyncio.timeout(proc.PATIENCE):
            while await engine.build_cache():  # until each record is a second old by the engine's own count
                freed += await engine.prune_build_cache(SECOND)
                await asyncio.sleep(0.2)
        assert freed == sum(record.size_bytes for record in made)
        assert {image.id for image in await engine.images({})} >= {child}
    finally:
        await engine.close()
    images.run(any_engine, "team/child:1", "true", rm=True)
