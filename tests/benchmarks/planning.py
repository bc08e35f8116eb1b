"""One plan over many images, against the floor: reading the same images as JSON."""

import json

from tests.benchmarks.timing import median
from tests.support.builders import decide, pulled_image, pytorch_image

IMAGES = 500
LAYERS = 40


def measure() -> list[str]:
    layers = {f"sha256:base{number}": 10 for number in range(LAYERS)}
    made = [
        (pytorch_image if number % 2 else pulled_image)(f"i{number}", layers={**layers, f"sha256:{number}": 5})
        for number in range(IMAGES)
    ]
    text = json.dumps([{"Id": item.id, "Layers": list(item.details.layers)} for item in made if item.details])
    floor = median(lambda: json.loads(text))
    plan = median(lambda: decide(*made))
    return [
        f"classify and plan {IMAGES} images        median {plan * 1000:.0f} ms, "
        f"{plan / floor:.0f} x reading them as JSON ({floor * 1000:.1f} ms)"
    ]
