"""What no metadata can tell: pairs of images with the same history, one with torch and one without.

They are not counted as false. Each shows why the layers themselves are the better witness.
"""

from tests.built_images.case import BUILDKIT, OFFLINE, Shows, build

_VENV = "RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install torch"
_SCRIPT = ("COPY script.sh /script.sh", "RUN sh /script.sh /opt/venv")
_SOURCED = ("COPY script.sh /settings.sh", "RUN . /settings.sh && pip install torch")
_TEMPORARY = "python -m venv /tmp/venv && /tmp/venv/bin/pip install torch"
_TARGET = "pip install -t /opt/packages torch"
CASES = {
    "a failure before a semicolon": build("RUN pip install torch; echo ready", base=OFFLINE),
    "no failure before a semicolon": build("RUN pip install torch; echo ready", shows=Shows.PERHAPS),
    "a failure in a pipeline": build("RUN pip install torch 2>&1 | cat", base=OFFLINE),
    "no failure in a pipeline": build("RUN pip install torch 2>&1 | cat", shows=Shows.PERHAPS),
    "into a mounted cache": build(
        f"RUN --mount=type=cache,target=/opt/packages {_TARGET}", shows=Shows.PERHAPS, builders=(BUILDKIT,)
    ),
    "into the image": build(f"RUN {_TARGET}", builders=(BUILDKIT,)),
    "into memory": build(f"RUN --mount=type=tmpfs,target=/tmp {_TEMPORARY}", builders=(BUILDKIT,)),
    "into a temporary folder": build(f"RUN {_TEMPORARY}", shows=Shows.PERHAPS, builders=(BUILDKIT,)),
    "a script that removes it": build(_VENV, *_SCRIPT, script="rm -rf $1\n"),
    "a script that does not": build(_VENV, *_SCRIPT, shows=Shows.PERHAPS, script="ls $1\n"),
    "a file that ends the shell": build(*_SOURCED, script="exit 0\n"),
    "a file that does not": build(*_SOURCED, shows=Shows.PERHAPS, script="LEVEL=1\n"),
}
PAIRS = {  # without torch -> with it
    "a failure before a semicolon": "no failure before a semicolon",
    "a failure in a pipeline": "no failure in a pipeline",
    "into a mounted cache": "into the image",
    "into memory": "into a temporary folder",
    "a script that removes it": "a script that does not",
    "a file that ends the shell": "a file that does not",
}
