# The base may be any image whose `python` is version 3.11 or later.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The source of packages: an index (with its CA), or, without a network, the folder `wheels` of the build context:
#   docker build --network none --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/src/wheels .
ARG PIP_CERT
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/build/bin:$PATH
WORKDIR /src
RUN python -m venv /build
# The brackets make a file or folder optional.
COPY requirements.lock extra-ca.cr[t] ./
COPY wheel[s] wheels/
RUN pip wheel --require-hashes --wheel-dir /wheels -r requirements.lock \
    && pip install --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY agent agent/
# Install the package with its own requirements only, from the locked wheels: no build backend and no pip at run time.
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/torchkeeper \
    && pip --python /opt/torchkeeper/bin/python install --no-index --find-links /wheels torchkeeper

FROM ${BASE}
LABEL org.opencontainers.image.title="torchkeeper" \
      org.opencontainers.image.description="Evicts idle PyTorch images by when they were last used, and reports over MQTT" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/torchkeeper /opt/torchkeeper
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/torchkeeper
ENV PATH=/opt/torchkeeper/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/var/lib/torchkeeper
# This user does not own the engine's socket: run with --group-add "$(stat -c %g /var/run/docker.sock)".
USER 65532:65532
VOLUME /var/lib/torchkeeper
STOPSIGNAL SIGTERM
ENTRYPOINT ["torchkeeper"]
CMD ["run"]
