"""The names that tests/properties has for what tests/support/builders.py makes."""

from agent.core.model import Image
from tests.support import builders, times

DAY, HOUR = times.DAY, times.HOUR
LONG_AGO, NOW = builders.LONG_AGO, builders.NOW
container, usage, disk = builders.container_of, builders.idle_usage, builders.make_disk
decide, evicted, image_id = builders.decide, builders.evicted_ids, builders.make_id


def image(name: str = "a", *references: str, **facts: object) -> Image:
    return builders.pulled_image(name, *references, **facts)


def pytorch_image(name: str = "a", *references: str, **facts: object) -> Image:
    return builders.pytorch_image(name, *references, **facts)
