"""Other installers than pip, each with a form that installs nothing."""

from tests.built_images.case import Shows, build, run

_CONDA = "conda create -y -n x -c pytorch pytorch=2.4.0"
CASES = {
    "conda": run("conda install -y -c pytorch -c nvidia pytorch=2.4.0 pytorch-cuda=12.4"),
    "conda, dry": run("conda install -y --dry-run -c pytorch pytorch"),
    "conda, -d": run("conda create -y -d -n x pytorch"),
    "conda, only downloaded": run("conda install -y --download-only pytorch"),
    "conda, only its channel": run("conda install -y -c pytorch faiss-gpu"),
    "conda, nobody agreed": run("conda install pytorch || true"),
    "conda, agreed by ENV": build("ENV CONDA_ALWAYS_YES=1", "RUN conda install pytorch", shows=Shows.PERHAPS),
    "conda, another environment": run(_CONDA),
    "conda, an environment that is called so": run("conda create -y -n pytorch python=3.11"),
    "conda, removed": run("conda install -y pytorch", "conda remove -y pytorch"),
    "conda, all removed": run(f"{_CONDA} && conda remove -y -n x --all"),
    "conda, environment removed": run(_CONDA, "conda env remove -y -n x"),
    "conda, environment removed by long names": run(
        "conda create --yes --name x pytorch", "conda remove --yes --name x --all"
    ),
    "conda, another environment removed": run(_CONDA, "conda env remove -y -n y"),
    "conda, folder removed": run(_CONDA, "rm -rf /opt/conda"),
    "conda, environment's folder removed": run(_CONDA, "rm -rf /opt/conda/envs/x"),
    "conda, a prefix removed": run("conda create -y -p /env pytorch && rm -rf /env"),
    "conda, a prefix that stays": run("conda create -y -p /env pytorch"),
    "conda run": run("conda create -y -n x python && conda run -n x pip install torch"),
    "conda run, environment removed": run(
        "conda create -y -n x python && conda run -n x pip install torch", "conda env remove -y -n x"
    ),
    "mamba": run("mamba install -y pytorch::pytorch"),
    "micromamba": run("micromamba install -y -n base -c conda-forge pytorch"),
    "a file of an environment": run(
        "printf 'dependencies:\\n- pytorch\\n' > /env.yml && conda env create -f /env.yml -n x", shows=Shows.PERHAPS
    ),
    "uv": run("uv pip install --system torch==2.4.0"),
    "uv, dry": run("uv pip install --system --dry-run torch"),
    "uv, only compiled": run("echo torch | uv pip compile -"),
    "uv, removed": run("uv pip install --system torch", "uv pip uninstall --system torch"),
    "uv, a venv": run("uv venv /opt/v && VIRTUAL_ENV=/opt/v uv pip install torch"),
    "uv, a venv removed": run("uv venv /opt/v && VIRTUAL_ENV=/opt/v uv pip install torch", "rm -rf /opt/v"),
    "uv, no venv": run("uv pip install torch || true"),
    "uv, the folder's venv removed": build("WORKDIR /w", "RUN uv venv", "RUN uv pip install torch", "RUN rm -rf .venv"),
    "uv, the folder's venv": build("WORKDIR /w", "RUN uv venv", "RUN uv pip install torch"),
    "uv, ENV's venv removed": build(
        "ENV VIRTUAL_ENV=/opt/v", "RUN uv venv /opt/v && uv pip install torch", "RUN rm -rf /opt/v"
    ),
    "apt": run("apt update && apt install -y python3-torch"),
    "apt, removed": run("apt install -y python3-torch", "apt remove -y python3-torch"),
    "conda run, environments removed": run(
        "conda create -y -n x python && conda run -n x python -m pip install torch", "rm -rf /opt/conda/envs"
    ),
    "uv add": build("WORKDIR /app", "RUN uv add torch"),
    "uv add, folder removed": build("WORKDIR /app", "RUN uv add torch", "RUN rm -rf .venv"),
    "uv add --no-sync": build("WORKDIR /app", "RUN uv add --no-sync torch"),
    "uv, by ENV": build("ENV UV_SYSTEM_PYTHON=1", "RUN uv pip install torch"),
    "apt-get": run("apt-get update && apt-get install -y --no-install-recommends python3-torch"),
    "apt-get, simulated": run("apt-get install -y -s python3-torch"),
    "apt-get, only downloaded": run("apt-get install -y --download-only python3-torch"),
    "apt-get, -d": run("apt-get -y -d install python3-torch"),
    "apt-get, nobody agreed": run("apt-get install python3-torch || true"),
    "apt-get, purged": run("apt-get install -y python3-torch", "apt-get purge -y python3-torch"),
    "apt-get, removed in a pinned branch": run("apt-get install -y python3-torch && apt-get remove -qy python3-torch"),
    "pip of a venv, and apt-get's purged": run(
        "apt-get install -y python3-torch && pip install torch", "apt-get purge -y python3-torch"
    ),
}
