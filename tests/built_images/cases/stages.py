"""Several stages, images on images, and triggers."""

from tests.built_images.case import BASE, BUILDKIT, Shows, build

_INSTALL = "RUN python -m venv /opt/venv && /opt/venv/bin/pip install torch"


def _after(*first: str) -> tuple[str, ...]:
    """A first stage above the one that is kept."""
    return (f"FROM {BASE} AS first", *first)


CASES = {
    "a venv that is copied": build("COPY --from=first /opt/venv /opt/venv", head=_after(_INSTALL), shows=Shows.NOT),
    "a venv that is copied, and removed": build(
        "COPY --from=first /opt/venv /opt/venv", "RUN rm -rf /opt/venv", head=_after(_INSTALL)
    ),
    "only a file is copied": build("COPY --from=first /etc/passwd /passwd", head=_after(_INSTALL)),
    "installed in both": build("COPY --from=first /etc/passwd /passwd", "RUN pip install torch", head=_after(_INSTALL)),
    "built on the first": build("RUN echo ready", base="first", head=_after("RUN pip install torch")),
    "built on the first, uninstalled": build(
        "RUN pip uninstall -y torch", base="first", head=_after("RUN pip install torch")
    ),
    "built on the first, by its argument": build(
        'RUN if [ "$WITH" = yes ]; then pip install torch; fi',
        base="first",
        head=_after("ARG WITH=yes"),
        shows=Shows.PERHAPS,
    ),
    "built on the first, unless its argument": build(
        'RUN if [ -z "$SLIM" ]; then pip install torch; fi',
        base="first",
        head=_after("ARG SLIM=yes"),
        shows=Shows.PERHAPS,
    ),
    "built on the first, by its ENV": build(
        'RUN if [ "$WITH" = yes ]; then pip install torch; fi', base="first", head=_after("ENV WITH=yes")
    ),
    "built on the first, by its SHELL": build(
        "RUN if [[ 1 == 1 ]]; then pip install torch; fi", base="first", head=_after('SHELL ["/bin/bash", "-c"]')
    ),
    "a trigger of the first": build("RUN echo ready", base="first", head=_after("ONBUILD RUN pip install torch")),
    "a trigger of the first, not taken": build(
        "RUN echo ready", base="first", head=_after("ONBUILD RUN if false; then pip install torch; fi")
    ),
    "a trigger of the first that uninstalls": build(
        "RUN echo ready", base="first", head=_after("RUN pip install torch", "ONBUILD RUN pip uninstall -y torch")
    ),
    "a file over it": build("RUN rm -rf /opt/venv", "RUN mkdir /opt/venv", base="first", head=_after(_INSTALL)),
    "mounted from the first": build(
        "RUN --mount=from=first,source=/opt/venv,target=/venv /venv/bin/python -c 'import torch'",
        head=_after(_INSTALL),
        builders=(BUILDKIT,),
    ),
}
