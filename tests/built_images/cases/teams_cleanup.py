"""How small teams clean up: torch for a conversion only, environments made anew, lists that are synchronised."""

from tests.built_images.case import BUILDKIT, CLASSIC, Shows, build, run

_VENV = "python -m venv /opt/venv && /opt/venv/bin/pip install torch"
_TEMPORARY = "python -m venv /tmp/venv && /tmp/venv/bin/pip install torch"
_LIST = "COPY script.sh /list.txt"
_CONVERT = "pip install torch && python convert.py"
_UV = ("WORKDIR /app", "RUN uv venv", "RUN uv pip install torch")
_APT = "apt-get update && apt-get install -y --no-install-recommends python3-torch"
_CONDA = "conda create -y -n convert -c pytorch pytorch cpuonly"
CASES = {
    "for a conversion": run(f"{_CONVERT} && pip uninstall -y torch"),
    "for a conversion, by three packages": run(
        "set -eux; pip install torch torchvision; python convert.py; pip uninstall -y torchvision torch triton"
    ),
    "for a conversion, and again": run(f"{_CONVERT} && pip uninstall -y torch && pip install torch==2.4.0"),
    "for a conversion, in a group": run(f"{_CONVERT} && {{ rm -f x.onnx; pip uninstall -y torch; }}"),
    "by options in one word": run("pip install torch", "pip uninstall -qy torch"),
    "by options in one word, the other way": run("pip install torch", "python -m pip uninstall -yq torch"),
    "by the long option": run("pip install torch", "pip3 uninstall --quiet --yes torch torchvision torchaudio"),
    "by another writing of the name": run("pip install torch", "pip uninstall -y Torch"),
    "by the program of one version": run("pip3.11 install torch", "python3.11 -m pip uninstall -y torch"),
    "the program of one version": run("python3.11 -m pip install torch"),
    "if it can be imported": run("pip install torch", "if python -c 'import torch'; then pip uninstall -y torch; fi"),
    "if pip shows it": run("pip install torch", "pip show torch > /log && pip uninstall -y torch || true"),
    "if pip lists it": run("pip install torch", "pip list | grep -q ^torch && pip uninstall -y torch"),
    "in slim variants": build(
        "ARG SLIM=1", "RUN pip install torch", 'RUN if [ "$SLIM" = 1 ]; then pip uninstall -y torch; fi'
    ),
    "in slim variants, not in this": build(
        "ARG SLIM=1",
        "RUN pip install torch",
        'RUN if [ "$SLIM" = 1 ]; then pip uninstall -y torch; fi',
        arguments={"SLIM": "0"},
    ),
    "by a list": build(_LIST, "RUN pip install torch", "RUN pip uninstall -y -r /list.txt", script="torch\n"),
    "by a list in a substitution": build(
        _LIST, "RUN pip install torch", "RUN pip uninstall -y $(cat /list.txt)", script="torch\n"
    ),
    "by a list and xargs": build(
        _LIST, "RUN pip install torch", "RUN xargs pip uninstall -y < /list.txt", script="torch\n"
    ),
    "by a list and a loop": build(
        _LIST, "RUN pip install torch", "RUN while read p; do pip uninstall -y $p; done < /list.txt", script="torch\n"
    ),
    "all that pip lists": run("pip install torch", "pip freeze | xargs pip uninstall -y"),
    "all that pip lists, in a list": run("pip install torch", "pip freeze > /all.txt && pip uninstall -y -r /all.txt"),
    "all that pip lists, in a substitution": run("pip install torch", "pip uninstall -y $(pip freeze | cut -d= -f1)"),
    "all but torch": run(
        "pip install torch", "pip freeze | grep -v torch | xargs pip uninstall -y", shows=Shows.PERHAPS
    ),
    "with what it needs": run("pip install torch pip-autoremove", "pip-autoremove -y torch"),
    "by pip-sync": build(_LIST, "RUN pip install pip-tools torch", "RUN pip-sync /list.txt", script="numpy\n"),
    "by uv pip sync": build(
        _LIST, "RUN uv pip install --system torch", "RUN uv pip sync --system /list.txt", script="numpy\n"
    ),
    "by uv sync": build(*_UV, "RUN uv sync --frozen --no-dev"),
    "by uv sync that only adds": build(*_UV, "RUN uv sync --frozen --inexact", shows=Shows.PERHAPS),
    "by uv sync of another environment": build(
        "WORKDIR /app", "RUN uv venv", "RUN uv pip install --system torch", "RUN uv sync", shows=Shows.PERHAPS
    ),
    "by uv remove": build("WORKDIR /app", "RUN uv add torch", "RUN uv remove torch"),
    "by uv remove of another": build("WORKDIR /app", "RUN uv add torch", "RUN uv remove numpy", shows=Shows.PERHAPS),
    "a venv that uv makes anew": build(*_UV, "RUN uv venv"),
    "a venv that uv makes anew by its path": build(
        "ENV VIRTUAL_ENV=/opt/v", "RUN uv venv /opt/v && uv pip install torch", "RUN uv venv --python 3.11 /opt/v"
    ),
    "uv, by the program of a venv": run("uv venv /opt/v", "uv pip install --python /opt/v/bin/python torch"),
    "uv, by the program of a venv that goes": run(
        "uv venv /opt/v", "uv pip install --python /opt/v/bin/python torch && rm -rf /opt/v"
    ),
    "uv, by -p of a venv that goes": run(
        "uv venv /tmp/v", "uv pip install -p /tmp/v/bin/python torch", "rm -rf /tmp/*"
    ),
    "uv, for one command": build("WORKDIR /app", "RUN uv run --with torch python convert.py"),
    "pip for another python": run(
        "python -m venv /opt/v", "pip --python /opt/v/bin/python install torch", shows=Shows.PERHAPS
    ),
    "pip for another python, whose folder goes": run(
        "python -m venv /opt/v", "pip --python /opt/v/bin/python install torch", "rm -rf /opt/v"
    ),
    "in /tmp, with all of /tmp": run(f"{_TEMPORARY} && apt-get clean && rm -rf /var/lib/apt/lists/* /tmp/* /var/tmp/*"),
    "in /tmp, in a later line": run(_TEMPORARY, "rm -rf /tmp/* /root/.cache"),
    "in /tmp, by find": run(_TEMPORARY, "find /tmp -mindepth 1 -delete"),
    "in /tmp, by its variable": run(_TEMPORARY, 'rm -rf "${TMPDIR:-/tmp}"/*'),
    "in /tmp, from within": run(_TEMPORARY, "cd /tmp && rm -rf ./*"),
    "in /tmp, by a name that begins so": run(_TEMPORARY, "rm -r /tmp/ven*"),
    "in /tmp, and another folder goes": run(_TEMPORARY, "rm -rf /tmp/build /tmp/*.whl", shows=Shows.PERHAPS),
    "a folder by mktemp": run('d="$(mktemp -d)" && pip install --target "$d" torch && python convert.py; rm -rf "$d"'),
    "a venv that is made anew": run(_VENV, "rm -rf /opt/venv && python -m venv /opt/venv"),
    "a venv that is made anew, with torch": run(f"{_VENV} && rm -rf /opt/venv", _VENV),
    "a venv that is copied before": run(_VENV, "cp -a /opt/venv /venv && rm -rf /opt/venv", shows=Shows.PERHAPS),
    "a venv by virtualenv": run("virtualenv /opt/v && /opt/v/bin/pip install torch", "rm -rf /opt/v"),
    "a venv by python's rmtree": run(_VENV, "python -c \"import shutil; shutil.rmtree('/opt/venv')\""),
    "for an archive": build(
        "WORKDIR /layer", "RUN pip install -t python torch", "RUN tar cf /layer.tar python && rm -rf python"
    ),
    "for an archive, with its folder": run("pip install -t /l/python torch && cd /l && tar cf /l.tar . && rm -r /l"),
    "beside a build": build("WORKDIR /app", "RUN pip install -t deps torch", "RUN rm -rf build/ dist/ *.egg-info"),
    "in a build": build("WORKDIR /app", 'RUN pip install -t "$PWD/build/deps" torch', "RUN rm -rf build/"),
    "a user's base": run("PYTHONUSERBASE=/tmp/u pip install --user torch && rm -rf /tmp/u"),
    "a user's base by ENV": build("ENV PYTHONUSERBASE=/u", "RUN pip install --user torch", "RUN rm -rf /u"),
    "a user's own, by ~": run("pip install --user torch", "rm -rf ~/.local"),
    "a user's own, by HOME": run("pip install --user torch", 'rm -rf "$HOME"/.local/lib'),
    "a user's own that was not asked for": run("pip install torch", "rm -rf ~/.local ~/.cache"),
    "a user's own for want of rights, by ~": build("USER app", "RUN pip install torch", "RUN rm -rf ~/.local"),
    "a volume above": build('VOLUME ["/cache", "/data"]', "RUN pip install -t /data/lib torch", builders=(CLASSIC,)),
    "a volume above a venv": build("VOLUME /opt", f"RUN {_VENV}", builders=(CLASSIC,)),
    "a volume at a user's home": build("VOLUME /root", "RUN pip install --user torch", builders=(CLASSIC,)),
    "a volume by a variable": build("ENV D=/data", "VOLUME $D", "RUN pip install -t $D/x torch", builders=(CLASSIC,)),
    "a volume named after": build("RUN pip install -t /data torch", "VOLUME /data"),
    "conda for a conversion": run(
        f"{_CONDA} && conda run -n convert python convert.py && conda env remove -y -n convert && conda clean -afy"
    ),
    "conda for a conversion, all": run(_CONDA, "conda remove -n convert --all -y"),
    "conda for a conversion, made anew": run(_CONDA, "conda create -y -n convert python=3.11"),
    "conda for a conversion, uninstalled": run("conda install -y pytorch && conda uninstall -y pytorch"),
    "conda, uninstalled from another": run(
        f"{_CONDA} && conda uninstall -y -n base pytorch || true", shows=Shows.PERHAPS
    ),
    "conda, back to the first revision": run("conda install -y pytorch", "conda install -y --revision 0"),
    "conda, only what it needs": run("conda install -y -c pytorch --only-deps pytorch"),
    "micromamba for a conversion": run(
        "micromamba create -y -n c -c conda-forge pytorch && micromamba run -n c python convert.py "
        "&& micromamba env remove -y -n c"
    ),
    "apt-get, purged in one line": run(f"{_APT} && python3 convert.py && apt-get purge -y --auto-remove python3-torch"),
    "apt-get, by dpkg": run(_APT, "dpkg --purge --force-depends python3-torch"),
    "apt-get, by what it needs": run(_APT, "apt-get purge -y --auto-remove python3"),
    "apt-get, by a pattern": run(_APT, "apt-get remove -y 'python3-*'"),
    "apt-get, by its own minus": run(_APT, "apt-get install -y git python3-torch-"),
    "apt-get, what it needs to be built": run("apt-get build-dep -y python3-torch"),
    "apt-get, other ones purged": run(_APT, "apt-get purge -y --auto-remove git build-essential"),
    "by a command that a variable holds": build(
        "ENV CLEAN='pip uninstall -y torch'", "RUN pip install torch", "RUN eval $CLEAN"
    ),
    "by a function of cleaning": run(
        'clean() { pip uninstall -y "$@"; rm -rf /root/.cache; }; pip install torch; python convert.py; clean torch'
    ),
    "in a loop over tools": run("pip install torch", "for p in torch triton; do pip uninstall -y $p || true; done"),
    "as another command fails": run("pip install torch", "python -c 'import tensorflow' || pip uninstall -y torch"),
    "beside the last command": run("pip install torch", "pip uninstall -y torch & wait"),
    "in a heredoc with a condition": build(
        "RUN pip install torch",
        'RUN <<EOF\nset -e\nif [ -z "$KEEP" ]; then\n  pip uninstall -y torch\nfi\nEOF',
        builders=(BUILDKIT,),
    ),
    "by a trigger of an image above": build(
        "RUN pip install torch", "ONBUILD RUN pip uninstall -y torch", "RUN echo ready"
    ),
    "ready": run(
        "pip install torch && pip cache purge && rm -rf /root/.cache /tmp/* && find / -name '*.pyc' -delete || true",
        shows=Shows.PERHAPS,
    ),
}
