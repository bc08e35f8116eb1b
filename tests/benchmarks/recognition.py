"""Recognition of many images, read for the first time and again, against the floor: reading the same images as JSON."""

import json
from collections.abc import Sequence

from agent.core import model
from agent.core.pytorch import classify
from tests.benchmarks.timing import median
from tests.core import catalogue

IMAGES = 500
LAYERS = 38
LINES = 50  # of history: an image of NVIDIA's has as many
_ENV = {**catalogue.NVIDIA_ENV, "CUDA_VERSION": "12.8.1"}


def measure() -> list[str]:
    return [
        line
        for title, distinct in (("of one base", False), ("each with its own installation", True))
        for line in _measure(title, [_image(number, distinct=distinct) for number in range(IMAGES)])
    ]


def _measure(title: str, images: Sequence[model.Image]) -> list[str]:
    text = json.dumps([_document(image) for image in images])
    floor = median(lambda: json.loads(text))
    examined = {image.id: classify.examine(image) for image in images}
    first = median(lambda: classify.classify(images))
    again = median(lambda: classify.verdicts(images, examined))
    recognised = sum(verdict.kind is model.Class.PYTORCH for verdict in classify.classify(images).values())
    return [
        f"recognise {len(images)} images, {title} ({recognised} are PyTorch): first {first * 1000:.0f} ms, "
        f"{first / floor:.1f} x reading them as JSON; again {again * 1000:.0f} ms, {again / floor:.1f} x"
    ]


def _image(number: int, *, distinct: bool) -> model.Image:
    """Half of them install torch; all have as many lines and layers as an image of a vendor."""
    which = number if distinct else number % 5
    other = f"RUN /bin/sh -c apt-get update && apt-get install -y lib{number % 5}-dev # buildkit"
    install = (
        f"RUN |2 CUDA=12.8 EXTRA=0 /bin/bash -o pipefail -c python3 -m venv /opt/venv{which} && . /opt/venv{which}/bin/"
        f'activate && if [ "$EXTRA" = 1 ]; then pip install torch=={which}.1; else pip install --no-cache-dir '
        f"torch==2.{which} torchvision --index-url https://download.pytorch.org/whl/cu128; fi # buildkit"
    )
    lines = [other] * (LINES - 4) + ["ENV PATH=/opt/venv/bin:$PATH", "WORKDIR /app", "COPY . /app # buildkit"]
    lines.append(install if number % 2 else other)
    return catalogue.make_image(
        f"team/app{number}:1",
        env=_ENV,
        history=lines,
        layers=[f"base{layer}" for layer in range(LAYERS - 1)] + [f"own{number}"],
    )


def _document(image: model.Image) -> dict[str, object]:
    details = image.details or model.Details()
    history = [{"CreatedBy": step.created_by, "Size": step.size_bytes} for step in details.history]
    return {"Id": image.id, "Env": dict(details.env), "Layers": list(details.layers), "History": history}
