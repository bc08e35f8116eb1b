"""Where it is installed: users, working folders and volumes; each with torch in the end, but for a volume's."""

from tests.built_images.case import BUILDKIT, CLASSIC, build, run

CASES = {
    "a user's own, for want of rights": build("USER app", "RUN pip install torch"),
    "a user's own": run("pip install --user torch"),
    "a folder": run("pip install -t /deps torch"),
    "a folder below WORKDIR": build("WORKDIR /app", "RUN pip install --target libs torch"),
    "PIP_TARGET": build("ENV PIP_TARGET=/deps", "RUN pip install torch"),
    "a venv": run("python -m venv /venv && . /venv/bin/activate && pip install torch"),
    "a venv for one command": run("python -m venv /venv && /venv/bin/pip install torch"),
    "a folder that is a volume, by BuildKit": build(
        "VOLUME /data", "RUN pip install -t /data torch", builders=(BUILDKIT,)
    ),
    "a folder that is a volume, by the classic builder": build(
        "VOLUME /data", "RUN pip install -t /data torch", builders=(CLASSIC,)
    ),
    "another folder than the volume": build("VOLUME /data", "RUN pip install torch"),
    "a place that only exists in memory": run("pip install -t /dev/shm/t torch"),
    "what needs a venv and has none": build("ENV PIP_REQUIRE_VIRTUALENV=1", "RUN pip install torch || true"),
}
