"""Ways to remove an environment or a package, as small teams write them, each kind with one that leaves torch."""

from tests.built_images.case import BUILDKIT, Case, Shows, build, run

_BASH = 'SHELL ["/bin/bash", "-c"]'
_PACKAGES = "/usr/local/lib/python3.11/site-packages"
_VENV = "python -m venv /opt/venv && /opt/venv/bin/pip install torch"
_ACTIVE = ("ENV VIRTUAL_ENV=/opt/venv", "RUN python -m venv $VIRTUAL_ENV", 'ENV PATH="$VIRTUAL_ENV/bin:$PATH"')
_LIST = "COPY script.sh /list.txt"
_APT = "apt-get update && apt-get install -y python3-torch"
_CONDA = "conda create -y -n x pytorch"


def _removed_by(commands: dict[str, str], installed: str = _VENV) -> dict[str, Case]:
    """Each in a RUN line of its own, after the installation."""
    return {f"by {name}": run(installed, command) for name, command in commands.items()}


_FOLDERS = {  # of a venv
    "command": "command rm -rf /opt/venv",
    "env": "env rm -rf /opt/venv",
    "env with a variable": "env -i LANG=C PATH=$PATH rm -rf /opt/venv",
    "exec": "exec rm -rf /opt/venv",
    "timeout": "timeout 10 rm -rf /opt/venv",
    "nice": "nice -n 10 rm -rf /opt/venv",
    "a condition": "if rm -rf /opt/venv; then echo ready; fi",
    "a condition of a loop": "until rm -rf /opt/venv; do sleep 1; done",
    "a subshell in a group": "{ (rm -rf /opt/venv); }",
    "capitals": "rm -Rf /opt/venv",
    "more options": "rm -rfv /opt/venv > /log",
    "parts in quotes": "rm -rf \"/opt\"/'venv'",
    "many slashes": "rm -rf ///opt//venv//",
    "two folders in it": "rm -rf /opt/venv/bin /opt/venv/lib",
    "all in it": "rm -rf /opt/venv/*",
    "a pattern in it": "rm -rf /opt/venv/lib*/*",
    "a pattern above": "rm -rf /op?/*",
    "a pattern at the root": "rm -rf /*/venv",
    "a set of letters": "rm -rf /opt/[a-z]env",
    "a variable": 'V=/opt/venv; rm -rf "$V"',
    "half a variable": "V=/opt; rm -rf ${V}/venv",
    "a default": "rm -rf ${NOBODY:-/opt/venv}",
    "half a default": "rm -rf /opt/${NOBODY:-venv}",
    "the end of a variable": "V=x:/opt/venv; rm -rf ${V##*:}",
    "the words of a shell": 'set -- /opt/venv; rm -rf "$@"',
    "the words of another shell": "sh -c 'rm -rf \"$1\"' _ /opt/venv",
    "a function with a word": 'gone() { rm -rf "$1"; }; gone /opt/venv',
    "a list of a loop": 'for f in bin lib; do rm -rf "/opt/venv/$f"; done',
    "a pipe into a shell": "echo 'rm -rf /opt/venv' | sh",
    "printf and xargs": "printf '%s\\n' /opt/venv | xargs -n1 rm -rf",
    "ls and a loop": "ls /opt | while read f; do rm -rf /opt/$f; done",
    "find in a loop": "for f in $(find /opt -name 'ven*'); do rm -rf $f; done",
    "find from its folder": "cd /opt && find . -mindepth 1 -delete",
    "find of what is new": "find /opt -mindepth 1 -newer /etc/passwd -delete || true",
    "mv of a part": "mv /opt/venv/lib /tmp/lib && rm -rf /tmp/lib",
    "cd and two dots": "cd /opt/venv && cd .. && rm -rf venv",
    "cd and -": "cd /opt && cd / && cd - && rm -rf ./venv",
    "a negated command": "! rm -rf /opt/venv || true",
    "a background job": "rm -rf /opt/venv & wait $!",
    "the else of a test": "if [ -n '' ]; then echo kept; else rm -rf /opt/venv; fi",
    "case": "case /opt/venv in /opt/*) rm -rf /opt/venv ;; esac",
    "python's os.system": "python -c \"import os; os.system('rm -rf /opt/venv')\" && rm -rf /opt/venv",
}
_SITE = {  # of the system's own packages
    "what python tells": "rm -rf \"$(python -c 'import torch; print(torch.__path__[0])')\"",
    "the place that python tells": "rm -rf \"$(python -c 'import site; print(site.getsitepackages()[0])')\"/torch*",
    "the place that python tells, from within": (
        "cd \"$(python -c 'import site; print(site.getsitepackages())')\" && rm -r torch"
    ),
    "the place that pip tells": "rm -rf $(pip show torch | sed -n 's/^Location: //p')/torch",
    "the place that pip tells, by a variable": "S=$(pip show torch | sed 's/.*: //'); rm -rf $S/torch",
    "ls, grep and xargs": f"ls {_PACKAGES} | grep torch | xargs -I{{}} rm -rf {_PACKAGES}/{{}}",
    "a loop over packages": f"for d in torch triton; do rm -rf {_PACKAGES}/$d; done",
    "a loop over packages and patterns": f"for d in tor tri; do rm -rf {_PACKAGES}/${{d}}*; done",
    "find of two names": "find /usr \\( -name triton -o -name torch \\) -prune -exec rm -rf {} +",
    "find in any case": "find / -type d -iname 'TORCH*' -exec rm -rf {} + || true",
    "find of a regular expression": "find /usr/local -regex '.*/torch/.*' -delete",
    "find with a name from ls": "find $(ls -d /usr/local/lib/py*) -mindepth 1 -delete",
    "the whole of /usr/local/lib": "rm -rf /usr/local/lib/*",
    "the folder above": "rm -rf /usr/local/lib/python3.11/",
    "another shell's pattern": "bash -c 'rm -rf /usr/local/lib/python3.{10,11}/site-packages/torch{,vision}'",
    "xargs without a place": "echo torch triton | xargs pip uninstall -y",
    "options behind": "pip uninstall torch --yes --root-user-action=ignore --break-system-packages",
    "pip's own name beside": "python -m pip uninstall -y setuptools torch",
    "a path of pip": "/usr/local/bin/pip3 uninstall -y torch",
    "a command in a variable": 'PIP="python3 -m pip"; $PIP uninstall -y torch',
    "a verb in a variable": "V=uninstall; pip $V -y torch",
    "capitals": "pip uninstall -y TORCH",
    "its version": "pip uninstall -y torch==2.4.0",
    "yes": "yes | pip uninstall torch",
    "a word to it": "echo y | pip uninstall torch",
    "a here-string of bash": "bash -c 'pip uninstall torch <<< y'",
    "one of the words of a shell": "sh -c 'pip uninstall -y \"$@\"' _ torch",
    "a condition": "if pip uninstall -y torch; then echo ready; fi",
    "another module of python": "python -Im pip uninstall -y torch && pip uninstall -y torch || pip uninstall -y torch",
    "a second python": "python3.11 -m pip uninstall -y torch",
    "env": "env PIP_NO_INPUT=1 pip uninstall -y torch",
    "uv": "uv pip uninstall --system torch",
    "uv with options before": "uv --quiet pip uninstall --system torch",
    "uv by ENV": "UV_SYSTEM_PYTHON=1 uv pip uninstall torch",
}
_APTS = {
    "a pattern": "apt-get purge -y 'python3-torch*'",
    "any pattern": "apt-get remove -y --purge '*torch*'",
    "autoremove": "apt autoremove -y --purge python3-torch",
    "options before": "apt-get -y -qq purge python3-torch",
    "a variable": "P=python3-torch; apt-get purge -y $P",
    "xargs": "echo python3-torch | xargs apt-get purge -y",
    "dpkg": "dpkg -r python3-torch",
}
_CONDAS = {
    "the long options": "conda env remove --yes --name x",
    "its prefix": "conda env remove -y -p /opt/conda/envs/x",
    "its prefix, all": "conda remove -y --prefix /opt/conda/envs/x --all",
    "options in one word": "conda env remove -yn x",
    "micromamba": "micromamba env remove -y -n x",
    "a word to it": "yes y | conda remove -n x --all",
    "ENV": "CONDA_ALWAYS_YES=1 conda env remove -n x",
    "all environments": "rm -rf /opt/conda/envs/*",
    "all environments, by find": "find /opt/conda/envs -mindepth 1 -maxdepth 1 -exec rm -rf {} +",
    "what conda tells": 'rm -rf "$(conda info --base)/envs/x"',
    "its package": "conda remove -y -n x pytorch",
    "its package, by force": "conda uninstall --yes --force -n x pytorch cpuonly",
    "pip in it": "conda run -n x pip uninstall -y torch",
    "pip of it": "/opt/conda/envs/x/bin/pip uninstall -y torch",
    "a new one": "micromamba create -y -n x python",
}
CASES = {
    **{f"a venv, {name}": case for name, case in _removed_by(_FOLDERS).items()},
    **{f"a package, {name}": case for name, case in _removed_by(_SITE, "pip install torch").items()},
    **{f"apt, {name}": case for name, case in _removed_by(_APTS, _APT).items()},
    **{f"conda, {name}": case for name, case in _removed_by(_CONDAS, _CONDA).items()},
    "conda, options in one word": run("conda create -yn x pytorch"),
    "conda, options in one word, removed": run("conda create -yn x pytorch", "conda remove -yn x --all"),
    "conda, a prefix that has a name": run("conda create -y -p /opt/conda/envs/x pytorch", "conda env remove -y -n x"),
    "conda, its packages' archives": run(_CONDA, "rm -rf /opt/conda/pkgs"),
    "conda, by ENV": build("ENV CONDA_DIR=/opt/conda", "RUN conda install -y pytorch", "RUN rm -rf $CONDA_DIR"),
    "an active venv": build(*_ACTIVE, "RUN pip install torch"),
    "an active venv, removed": build(*_ACTIVE, "RUN pip install torch", "RUN rm -rf $VIRTUAL_ENV"),
    "an active venv, removed by its path": build(*_ACTIVE, "RUN pip install torch", "RUN rm -rf /opt/venv"),
    "an active venv, cleared": build(*_ACTIVE, "RUN pip install torch", "RUN python -m venv --clear $VIRTUAL_ENV"),
    "an active venv, not active any more": build(
        *_ACTIVE, "ENV PATH=/usr/local/bin:/usr/bin:/bin", "RUN pip install torch", "RUN rm -rf $VIRTUAL_ENV"
    ),
    "an active venv, by uv": build(*_ACTIVE, "RUN uv pip install torch", "RUN rm -rf $VIRTUAL_ENV"),
    "an active venv, uninstalled by uv": build(*_ACTIVE, "RUN pip install torch", "RUN uv pip uninstall torch"),
    "a venv by export": run(
        "python -m venv /v && export PATH=/v/bin:$PATH && pip install torch && python convert.py && rm -rf /v"
    ),
    "a venv by its variable alone": run(
        "python -m venv /v && export VIRTUAL_ENV=/v && pip install torch && rm -rf /v", shows=Shows.PERHAPS
    ),
    "a venv of uv, cleared": build("WORKDIR /w", "RUN uv venv && uv pip install torch", "RUN uv venv --clear .venv"),
    "a venv of uv, made again, and kept": build(
        "WORKDIR /w", "RUN uv venv && uv pip install torch", "RUN uv venv --allow-existing", shows=Shows.PERHAPS
    ),
    "a venv of uv by ENV, synchronised": build(
        "ENV UV_PROJECT_ENVIRONMENT=/opt/v",
        "RUN uv venv /opt/v && uv pip install -p /opt/v/bin/python torch",
        "RUN uv sync",
    ),
    "a folder of uv": run("uv pip install --system --target /deps torch"),
    "a folder of uv, removed": run("uv pip install --system --target /deps torch && rm -rf /deps"),
    "uv for a list": build(
        _LIST, "RUN uv pip install --system torch", "RUN uv pip uninstall --system -r /list.txt", script="torch\n"
    ),
    "--root": run("pip install --root=/r torch", "rm -rf /r"),
    "--prefix": run("pip install --prefix=/p torch && rm -rf /p/lib"),
    "-t in one word": run("pip install -t/deps torch", "rm -rf /deps"),
    "--target of pwd": build("WORKDIR /w", "RUN pip install --target=$(pwd)/deps torch && rm -rf deps"),
    "PIP_TARGET by ARG": build("ARG PIP_TARGET=/t", "RUN pip install torch", "RUN rm -rf /t"),
    "PIP_USER": run("PIP_USER=1 pip install torch && rm -rf /root/.local"),
    "another user's own": build("USER app", "RUN pip install --user torch", "USER root", "RUN rm -rf /home/*/.local"),
    "another user's own, by his name": build(
        "USER app", "RUN pip install --user torch", "USER root", "RUN rm -rf ~app"
    ),
    "WORKDIR, and from the root": build(
        "WORKDIR /opt",
        "RUN python -m venv venv",
        "RUN ./venv/bin/pip install torch",
        "WORKDIR /",
        "RUN rm -rf opt/venv",
    ),
    "WORKDIR of a variable": build(
        "ENV APP=/srv", "WORKDIR $APP/x", "RUN pip install -t lib torch", "RUN rm -rf /srv/x"
    ),
    "braces, where bash is the shell": build(_BASH, f"RUN {_VENV}", "RUN rm -rf /opt/{venv,cache}"),
    "an array of bash": build(_BASH, f"RUN {_VENV}", 'RUN f=(/opt/venv /x); rm -rf "${f[@]}"'),
    "a replacement of bash": build(_BASH, f"RUN {_VENV}", "RUN V=/opt/VENV; rm -rf ${V/VENV/venv}"),
    "small letters of bash": build(_BASH, f"RUN {_VENV}", "RUN V=/OPT/VENV; rm -rf ${V,,}"),
    "uninstalled and installed": run("pip install torch", "pip uninstall -y torch && pip install torch==2.4.0+cpu"),
    "uninstalled, then another one": run("pip install torch", "pip uninstall -y torch && pip install numpy"),
    "uninstalled, then installed in no case": run(
        "pip install torch", "pip uninstall -y torch; if [ -n '' ]; then pip install torch; fi"
    ),
    "uninstalled, then a list": build(
        _LIST, "RUN pip install torch && pip uninstall -y torch", "RUN pip install -r /list.txt", script="numpy\n"
    ),
    "what needs it, then uninstalled": run("pip install timm accelerate", "pip uninstall -y torch"),
    "uninstalled, then what needs it": run(
        "pip install torch && pip uninstall -y torch && pip install timm", shows=Shows.PERHAPS
    ),
    "uninstalled, then what needs it, alone": run(
        "pip install torch && pip uninstall -y torch && pip install --no-deps timm"
    ),
    "in a heredoc for sh": build(f"RUN {_VENV}", "RUN sh -s <<EOF\nrm -rf /opt/venv\nEOF", builders=(BUILDKIT,)),
    "in a heredoc for xargs": build(f"RUN {_VENV}", "RUN xargs rm -rf <<EOF\n/opt/venv\nEOF", builders=(BUILDKIT,)),
    "in a heredoc with a loop": build(
        f"RUN {_VENV}", "RUN <<EOF\nfor d in venv cache; do\n  rm -rf /opt/$d\ndone\nEOF", builders=(BUILDKIT,)
    ),
    "in a heredoc that is only written": build(
        f"RUN {_VENV}", "RUN cat > /clean.sh <<EOF\nrm -rf /opt/venv\nEOF", builders=(BUILDKIT,)
    ),
    "in a heredoc of python": build(
        f"RUN {_VENV}", "RUN python3 <<EOF && rm -rf /opt/venv\nimport torch\nEOF", builders=(BUILDKIT,)
    ),
}
