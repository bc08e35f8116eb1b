# Two images: the agent, and with `docker build --target monitor` the central monitor, which has more packages.
# docs/container.md describes them, and how to build them for several platforms.
#
# The base may be any image of Debian whose `python` is version 3.11 or later. Nothing of it is in the result but the
# interpreter, its libraries and the certificates.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The source of packages: an index (with its CA), or, without a network, the folder `wheels` of the build context:
#   docker build --network none --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/src/wheels .
ARG PIP_CERT
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
# For the stages that are built on this one; pip ignores a variable without a value
ENV PIP_CERT=$PIP_CERT PIP_INDEX_URL=$PIP_INDEX_URL PIP_EXTRA_INDEX_URL=$PIP_EXTRA_INDEX_URL \
    PIP_NO_INDEX=$PIP_NO_INDEX PIP_FIND_LINKS=$PIP_FIND_LINKS \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/build/bin:$PATH
WORKDIR /src
RUN python -m venv /build
# The brackets make a file or folder optional. The classic builder wants one of the sources to exist, hence LICENSE.
COPY LICENSE extra-ca.cr[t] ./
COPY LICENSE wheel[s] wheels/

# The package itself, without the libraries of the monitor's page, and so without Node.js
FROM build AS package
COPY requirements-build.lock ./
RUN sed '/^nodejs/,/[^\\]$/d' requirements-build.lock >backend.lock \
    && pip install --no-compile --require-hashes -r backend.lock
COPY pyproject.toml README.md LICENSE ./
COPY agent agent/
COPY config config/
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /package .

# The same with these libraries, which npm brings, unless they are in the build context
FROM package AS package-with-page
RUN { cmp -s agent/fleet/page/vendor/.lock agent/fleet/page/package-lock.json \
        || pip install --no-compile --require-hashes -r requirements-build.lock; } \
    && pip wheel --no-build-isolation --no-deps --wheel-dir /package-with-page .

# What both images have: the interpreter with what it needs
FROM build AS system
COPY config/image/rootfs.py ./
RUN python rootfs.py system /system

# Each image gets the package with its own requirements only, from the locked wheels.
FROM system AS build-agent
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/torchkeeper \
    && pip --python /opt/torchkeeper/bin/python install --no-compile --require-hashes -r requirements.lock
COPY --from=package /package /package/
RUN pip --python /opt/torchkeeper/bin/python install --no-compile --no-index --no-deps /package/*.whl \
    && pip --python /opt/torchkeeper/bin/python check \
    && python rootfs.py program /opt/torchkeeper /libraries /system

FROM scratch AS runtime
COPY --from=system /system/ /
ENV PATH=/opt/torchkeeper/bin HOME=/var/lib/torchkeeper
USER 65532:65532
VOLUME /var/lib/torchkeeper
STOPSIGNAL SIGTERM
ENTRYPOINT ["torchkeeper"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="torchkeeper" \
      org.opencontainers.image.description="Evicts idle PyTorch images by when they were last used, and reports over MQTT" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      torchkeeper.keep="true"

# Its user does not own the engine's socket: run with --group-add "$(stat -c %g /var/run/docker.sock)".
FROM runtime AS agent
COPY --from=build-agent /libraries/ /
COPY --from=build-agent /opt/torchkeeper /opt/torchkeeper
COPY config/image/torchkeeper.toml /etc/torchkeeper/
# This fails if a file is missing
RUN ["/opt/torchkeeper/bin/torchkeeper", "--version"]
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s \
    CMD ["/opt/torchkeeper/bin/python", "-IS", "/opt/torchkeeper/healthcheck.py", "9477"]
CMD ["run"]

FROM system AS build-monitor
COPY requirements-monitor.lock ./
RUN python -m venv --without-pip /opt/torchkeeper \
    && pip --python /opt/torchkeeper/bin/python install --no-compile --require-hashes -r requirements-monitor.lock
COPY --from=package-with-page /package-with-page /package/
RUN pip --python /opt/torchkeeper/bin/python install --no-compile --no-index --no-deps /package/*.whl \
    && pip --python /opt/torchkeeper/bin/python check \
    && python rootfs.py program /opt/torchkeeper /libraries /system

FROM runtime AS monitor
COPY --from=build-monitor /libraries/ /
COPY --from=build-monitor /opt/torchkeeper /opt/torchkeeper
RUN ["/opt/torchkeeper/bin/torchkeeper", "monitor", "--help"]
EXPOSE 9478
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s \
    CMD ["/opt/torchkeeper/bin/python", "-IS", "/opt/torchkeeper/healthcheck.py", "9478", "/healthz"]
CMD ["monitor"]

# The default
FROM agent
