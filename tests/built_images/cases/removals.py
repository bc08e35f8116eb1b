"""Torch that was installed and is gone at the end, each beside a removal that leaves it."""

from tests.built_images.case import Shows, build, run

_PACKAGES = "/usr/local/lib/python3.11/site-packages"
_VENV = "python3 -m venv /opt/venv && /opt/venv/bin/pip install torch"
_ACTIVE = (
    "cd /tmp && python3 -m venv convert && . convert/bin/activate && pip install torch && python -c 'import torch'"
)
CASES = {
    "uninstalled in the same line": run("pip install torch && python -c 'import torch' && pip uninstall -y torch"),
    "uninstalled in a later line": run("pip install torch numpy", "pip uninstall -y torch numpy"),
    "uninstalled by another name of pip": run("pip install torch", "python3 -m pip uninstall --yes torch"),
    "uninstalled by yes": run("pip install torch", "yes | pip uninstall torch"),
    "uninstalled by echo y": run("pip install torch", "echo y | pip uninstall torch"),
    "uninstalled by what freeze says": run("pip install torch", "pip freeze | grep torch | xargs pip uninstall -y"),
    "uninstalled by all that freeze says": run("pip install torch", "pip freeze | xargs pip uninstall -y"),
    "uninstalled by a substitution": run("pip install torch", "pip uninstall -y $(pip freeze | cut -d= -f1)"),
    "uninstalled by a list": run("pip install torch", "echo torch > /r.txt && pip uninstall -y -r /r.txt"),
    "uninstalled by a loop": run("pip install torch", "for p in numpy torch; do pip uninstall -y $p; done"),
    "uninstalled by a function": run("pip install torch", "drop() { pip uninstall -y $1; }; drop torch"),
    "uninstalled by a variable": build("ARG DROP=torch", "RUN pip install torch", "RUN pip uninstall -y $DROP"),
    "uninstalled in a branch taken": build(
        "ARG SLIM=yes", "RUN pip install torch", "RUN if [ $SLIM = yes ]; then pip uninstall -y torch; fi"
    ),
    "uninstalled in a branch not taken": build(
        "ARG SLIM=no", "RUN pip install torch", "RUN if [ $SLIM = yes ]; then pip uninstall -y torch; fi"
    ),
    "uninstalled in a branch that nobody can know": run(
        "pip install torch", "if [ -e /etc/passwd ]; then pip uninstall -y torch; fi"
    ),
    "uninstalled, and installed again": run("pip install torch && pip uninstall -y torch && pip install torch==2.4.0"),
    "another package uninstalled": run("pip install torch", "pip uninstall -y torchvision numpy"),
    "nobody agreed to uninstall": run("pip install torch", "pip uninstall torch || true", shows=Shows.PERHAPS),
    "uninstalling is only spoken of": run("pip install torch", "echo pip uninstall -y torch"),
    "uninstalled before": run("pip uninstall -y torch && pip install torch"),
    "uninstalled elsewhere": run("pip install torch", f"{_VENV} && /opt/venv/bin/pip uninstall -y torch"),
    "uninstalled by a user without the right": build(
        "RUN pip install torch", "USER app", "RUN pip uninstall -y torch || true", shows=Shows.PERHAPS
    ),
    "a venv in /tmp": run(
        "python -m venv /tmp/v && /tmp/v/bin/pip install torch && /tmp/v/bin/python x && rm -rf /tmp/v"
    ),
    "a venv in /tmp that stays": run("python -m venv /tmp/v && /tmp/v/bin/pip install torch && rm -rf /tmp/x"),
    "a venv in a later line": run(_VENV, "rm -rf /opt/venv"),
    "another venv": run(_VENV, "rm -rf /opt/venv2"),
    "a venv that was active": run(f"{_ACTIVE} && deactivate && rm -rf convert"),
    "a venv that was active, with its folder": run(f"{_ACTIVE}", "rm -rf /tmp/*"),
    "a venv that was active and stays": run(f"{_ACTIVE} && deactivate"),
    "a venv of virtualenv": run("virtualenv /v && /v/bin/pip install torch && rm -r /v"),
    "a venv by a variable": build("ENV VIRTUAL_ENV=/opt/venv", f"RUN {_VENV}", 'RUN rm -rf "$VIRTUAL_ENV"'),
    "a venv on the path": build(
        "RUN python -m venv /opt/venv", "ENV PATH=/opt/venv/bin:$PATH", "RUN pip install torch", "RUN rm -rf /opt/venv"
    ),
    "a venv on the path that stays": build(
        "RUN python -m venv /opt/venv", "ENV PATH=/opt/venv/bin:$PATH", "RUN pip install torch && rm -rf /opt/cache"
    ),
    "a venv made anew": run(_VENV, "rm -rf /opt/venv && python -m venv /opt/venv"),
    "the folder above": run(_VENV, "rm -rf /opt"),
    "the folder above, by *": run(_VENV, "rm -rf /opt/*"),
    "the folder above, by cd": run(_VENV, "cd /opt && rm -rf ./venv"),
    "the folder above, by find": run(_VENV, "find /opt -mindepth 1 -delete"),
    "a venv that is renamed": run(f"{_VENV} && mv /opt/venv /opt/app"),
    "a venv that is renamed, and removed": run(f"{_VENV} && mv /opt/venv /opt/app", "rm -rf /opt/app"),
    "a venv that is copied, and the first one removed": run(
        f"{_VENV} && cp -r /opt/venv /opt/app && rm -rf /opt/venv", shows=Shows.PERHAPS
    ),
    "a venv that is copied, and both removed": run(f"{_VENV} && cp -r /opt/venv /opt/app", "rm -rf /opt/venv /opt/app"),
    "a venv that a link names": run(f"{_VENV} && ln -s /opt/venv /venv", "rm -rf /venv", shows=Shows.PERHAPS),
    "--target": run("pip install --target=/tmp/t torch && PYTHONPATH=/tmp/t python x.py && rm -r /tmp/t"),
    "--target that stays": run("pip install --target=/opt/t torch && rm -r /tmp/*; true"),
    "--target in another line": run("pip install -t /deps torch", "rm -rf /deps"),
    "--target in a temporary folder": run('d=$(mktemp -d) && pip install -t "$d" torch && rm -rf "$d"'),
    "--target from WORKDIR": build("WORKDIR /build", "RUN pip install -t . torch", "WORKDIR /", "RUN rm -rf /build"),
    "--target from WORKDIR that stays": build(
        "WORKDIR /build", "RUN pip install -t deps torch", "WORKDIR /", "RUN rm -rf /deps"
    ),
    "--target from cd": run("mkdir /x && cd /x && pip install -t deps torch", "rm -rf /x"),
    "PIP_TARGET": build("ENV PIP_TARGET=/tmp/t", "RUN pip install torch", "RUN rm -rf /tmp/t"),
    "--prefix": run("pip install --prefix /install torch", "rm -rf /install"),
    "--prefix that stays": run("pip install --prefix /install torch"),
    "--root": run("pip install --root /rootfs torch && rm -rf /rootfs"),
    "--user": build("USER app", "RUN pip install --user torch", "RUN rm -rf ~/.local"),
    "--user, by $HOME": run("pip install --user torch", "rm -rf $HOME/.local"),
    "--user that stays": build("USER app", "RUN pip install --user torch", "RUN rm -rf ~/.cache"),
    "the package's own folder": run("pip install torch", f"rm -rf {_PACKAGES}/torch {_PACKAGES}/torch-2.4.0.dist-info"),
    "the package's own folder, by a pattern": run("pip install torch", f"rm -rf {_PACKAGES}/torch*"),
    "all packages": run("pip install torch", f"rm -rf {_PACKAGES}"),
    "all packages, by a pattern": run("pip install torch", "rm -rf /usr/local/lib/python3*"),
    "the package's tests": run("pip install torch", f"rm -rf {_PACKAGES}/torch/test", shows=Shows.PERHAPS),
    "by find -exec": run("pip install torch", "find / -type d -name torch -prune -exec rm -rf {} +"),
    "by find -delete": run("pip install torch", "find /usr/local/lib -path '*torch*' -delete"),
    "by find and xargs": run("pip install torch", "find /usr -name torch -type d | xargs rm -rf"),
    "by find, of something else": run("pip install torch", "find / -name '*.pyc' -delete", shows=Shows.PERHAPS),
    "by find, of caches": run(
        "pip install torch && find /usr/local -type d -name __pycache__ -exec rm -rf {} +", shows=Shows.PERHAPS
    ),
    "by a program": run("pip install torch", f"python -c 'import sys' && cd {_PACKAGES} && rm -rf torch"),
    "by mv": run("pip install torch", f"mv {_PACKAGES}/torch /tmp/gone && rm -rf /tmp/gone"),
    "removal is only spoken of": run(_VENV, "echo rm -rf /opt/venv"),
    "removal in a branch not taken": run(_VENV, "if false; then rm -rf /opt/venv; fi"),
    "removal of caches": run("pip install torch && rm -rf /root/.cache /tmp/* /var/tmp/*"),
    "removal that fails": build(f"RUN {_VENV}", "USER app", "RUN rm -rf /opt/venv || true", shows=Shows.PERHAPS),
    "its own pip uninstalls it": build(
        "RUN python -m venv /opt/venv",
        "ENV PATH=/opt/venv/bin:$PATH",
        "RUN pip install torch",
        "RUN /opt/venv/bin/pip uninstall -y torch",
    ),
    "another pip uninstalls nothing": build(
        "RUN python -m venv /opt/venv",
        "ENV PATH=/opt/venv/bin:$PATH",
        "RUN pip install torch",
        "RUN /usr/local/bin/pip uninstall -y torch",
    ),
    "a venv that is cleared": run(_VENV, "python3 -m venv --clear /opt/venv"),
    "by another way of writing the folder": run(_VENV, "rm -rf /opt/./venv/"),
    "by another way of writing rm": run(_VENV, "\\rm -rf /opt/venv"),
    "by the path of rm": run(_VENV, "/bin/rm -rf /opt/venv"),
    "by busybox": run(_VENV, "busybox rm -rf /opt/venv"),
    "by sudo": run(_VENV, "sudo rm -rf /opt/venv"),
    "by a shell in the shell": run(_VENV, "bash -c 'rm -rf /opt/venv'"),
    "by eval": run(_VENV, "eval 'rm -rf /opt/venv'"),
    "by xargs": run(_VENV, "echo /opt/venv | xargs rm -rf"),
    "by ls and xargs": run(_VENV, "ls -d /opt/v* | xargs rm -rf"),
    "by a loop": run(_VENV, "for folder in /opt/*; do rm -rf $folder; done"),
    "by a loop that reads": run(_VENV, "echo /opt/venv > /list; while read f; do rm -rf $f; done < /list"),
    "by a substitution": run("pip install torch", "rm -rf $(find / -type d -name torch)"),
    "by a script": run(_VENV, "echo 'rm -rf /opt/venv' > /clean.sh && sh /clean.sh"),
    "by braces of bash": build(
        'SHELL ["/bin/bash", "-c"]', "RUN pip install torch", f"RUN rm -rf {_PACKAGES}/{{torch,numpy}}"
    ),
    "by braces, which dash has not": run(
        "pip install torch", f"rm -rf {_PACKAGES}/{{torch,numpy}}", shows=Shows.PERHAPS
    ),
    "by a pattern in the name": run("pip install torch", "rm -rf /usr/local/lib/python3.*/site-packages/tor?h"),
    "from its folder": run("pip install torch", "cd /usr/local/lib && rm -rf python3.11/site-packages/torch"),
    "from WORKDIR": build("RUN pip install torch", f"WORKDIR {_PACKAGES}", "RUN rm -rf torch"),
    "--target by a variable": build("ENV DEPS=/deps", "RUN pip install -t ${DEPS}/lib torch", "RUN rm -rf ${DEPS}"),
    "--target from two WORKDIRs": build("WORKDIR /a", "WORKDIR b", "RUN pip install -t . torch", "RUN rm -rf /a/b"),
    "--target above": build("WORKDIR /a", "RUN pip install -t ../x torch", "RUN rm -rf /x"),
    "PIP_TARGET by export": run("export PIP_TARGET=/tmp/t && pip install torch && rm -rf /tmp/t"),
    "PIP_PREFIX": build("ENV PIP_PREFIX=/p", "RUN pip install torch", "RUN rm -rf /p"),
    "the folder of all packages, moved away": run(
        "pip install torch", "mv /usr/local/lib/python3.11 /tmp/p && rm -rf /tmp/p"
    ),
    "pip's cache": run("pip install torch && pip cache purge"),
    "other packages of the system": run("pip install torch", "apt-get purge -y --auto-remove gcc python3-pip"),
    "packages of the build, in one line": run(
        "apt-get update && apt-get install -y --no-install-recommends git && pip3 install --no-cache-dir torch "
        "torchvision --index-url https://download.pytorch.org/whl/cu124 && apt-get purge -y git "
        "&& rm -rf /var/lib/apt/lists/* /root/.cache"
    ),
    "conda's cache": run("conda install -y pytorch && conda clean -afy"),
    "uninstalled with -y at the end": run("pip install torch; pip uninstall torch -y"),
    "all in WORKDIR": build("WORKDIR /b", "RUN pip install -t . torch", "RUN rm -rf *"),
    "WORKDIR by $PWD": build("WORKDIR /b", "RUN pip install -t . torch", 'RUN cd / && rm -rf "$OLDPWD"'),
    "by options one by one": run(_VENV, "rm -r -f -- /opt/venv"),
    "a folder below": run("pip install -t /opt/x/y torch", "rm -rf /opt/x"),
    "a name with a space": run("pip install --target '/opt/my libs' torch", 'rm -rf "/opt/my libs"'),
    "with :?": run('A=/opt; pip install -t $A/lib torch; rm -rf "${A:?}"/lib'),
    "a venv below WORKDIR": build(
        "WORKDIR /app", "RUN python -m venv venv", "RUN venv/bin/pip install torch", "RUN rm -rf /app/venv"
    ),
    "a venv below WORKDIR that stays": build(
        "WORKDIR /app", "RUN python -m venv venv", "RUN venv/bin/pip install torch", "RUN rm -rf /venv"
    ),
    "a venv by its python": run("python -m venv /v && /v/bin/python -m pip install torch", "rm -rf /v"),
    "a venv that is active in a later line": run(
        "python -m venv /v", ". /v/bin/activate && pip install torch", "rm -rf /v"
    ),
    "another user's folder": build("USER app", "RUN pip install --user torch", "USER root", "RUN rm -rf /home/app"),
    "another HOME": run("HOME=/tmp/h pip install --user torch && rm -rf /tmp/h"),
    "another HOME by ENV": build("ENV HOME=/tmp/h", "RUN pip install --user torch", "RUN rm -rf /tmp/h"),
    "uninstalled after a try": run("pip install torch || true", "pip uninstall -y torch"),
    "uninstalled where it was installed": run("if pip install torch; then pip uninstall -y torch; fi"),
    "uninstalled in a group": run("pip install torch && { echo ready; pip uninstall -y torch; }"),
    "uninstalled in a subshell": run("pip install torch && (pip uninstall -y torch)"),
    "uninstalled by a trap": run("trap 'pip uninstall -y torch' EXIT; pip install torch"),
    "by a trap": run("trap 'rm -rf /tmp/v' EXIT; python -m venv /tmp/v && /tmp/v/bin/pip install torch"),
    "by a function of a trap": run(
        "clean() { rm -rf /tmp/v; }; trap clean EXIT; python -m venv /tmp/v && /tmp/v/bin/pip install torch"
    ),
    "by a function": run('v=/tmp/v; clean() { rm -rf "$v"; }; python -m venv $v && $v/bin/pip install torch; clean'),
    "by a function that nobody calls": run("clean() { rm -rf /v; }; python -m venv /v && /v/bin/pip install torch"),
    "a temporary folder by cd": run(
        'cd $(mktemp -d) && python -m venv v && v/bin/pip install torch && cd / && rm -rf "$OLDPWD"'
    ),
    "by pushd": build(
        'SHELL ["/bin/bash", "-c"]',
        "RUN pushd /opt && python -m venv v && v/bin/pip install torch && popd && rm -rf /opt/v",
    ),
    "past a cd in a subshell": run(_VENV, "cd /opt; (cd /tmp; true); rm -rf venv"),
    "if it is there": run(_VENV, "[ -d /opt/venv ] && rm -rf /opt/venv || true"),
    "unless nobody's variable": run(_VENV, 'if [ "$KEEP" != 1 ]; then rm -rf /opt/venv; fi'),
    "or true": run(_VENV, "rm -rf /opt/venv || true"),
    "beside": run(_VENV, "rm -rf /opt/venv & wait"),
    "by find -exec of a pattern": run(_VENV, "find /opt -maxdepth 1 -name 'v*' -exec rm -rf {} \\;"),
    "by find -exec of all packages": run(
        "pip install torch", "find /usr/local -depth -type d -name site-packages -exec rm -rf '{}' +"
    ),
    "by find of a pattern and xargs": run("pip install torch", "find /usr /opt -name '*torch*' | xargs rm -rf"),
    "by find -path": run("pip install torch", "find /usr -path '*/torch/*' -delete"),
    "by rm in a later stage's folder": run("cp -a /usr/local /opt/x && pip install torch", "rm -rf /opt/x"),
    "of one of two": run("pip install torch && pip install -t /tmp/t torch && rm -rf /tmp/t"),
}
