"""What starts before the command of a RUN line, and other programs around it, where torch goes again in a later one."""

from tests.built_images.case import Case, Shows, build, run

_BASH = 'SHELL ["/bin/bash", "-c"]'
_LOGIN = 'SHELL ["/bin/bash", "-lc"]'
_VENV = "python -m venv /opt/venv && /opt/venv/bin/pip install torch"
_ACTIVATE = ". /opt/venv/bin/activate\n"
_MADE = "RUN python -m venv /opt/venv"
_AROUND = {
    "ash -c": "ash -c 'rm -rf /opt/venv'",
    "dash -c": "dash -c 'rm -rf /opt/venv'",
    "busybox sh -c": "busybox sh -c 'rm -rf /opt/venv'",
    "bash with long options": "bash --norc --noprofile -c 'rm -rf /opt/venv'",
    "bash with -o": "bash -o errexit -o nounset -c 'rm -rf /opt/venv'",
    "su -c": "su -c 'rm -rf /opt/venv'",
    "su with a name": "su root -c 'rm -rf /opt/venv'",
    "setsid": "setsid rm -rf /opt/venv; sleep 1",
    "nohup": "nohup rm -rf /opt/venv",
    "ionice": "ionice -c 3 rm -rf /opt/venv",
    "time": "time rm -rf /opt/venv",
    "xargs and a shell": "echo /opt/venv | xargs -I{} sh -c 'rm -rf {}'",
    "find and a shell": "find /opt -name venv -prune -exec sh -c 'rm -rf \"$1\"' _ {} \\;",
    "find and a shell for all": "find /opt -mindepth 1 -maxdepth 1 -exec sh -c 'for f; do rm -rf \"$f\"; done' _ {} +",
    "find -execdir": "find /opt -mindepth 1 -maxdepth 1 -name 'v*' -exec mv {} /tmp/gone \\; && rm -rf /tmp/gone",
    "the folder of a name": 'rm -rf "$(dirname /opt/venv/pyvenv.cfg)"',
    "the folder that it is in": 'cd /opt/venv && rm -rf "$(pwd)"',
    "the folder that it is in, by $PWD": 'cd /opt/venv/bin && rm -rf "${PWD%/*}"',
    "mv into a folder": "mkdir /x && mv /opt/venv /x && rm -rf /x",
    "mv into a folder, with a slash": "mkdir /x; mv /opt/venv /x/; rm -rf /x",
    "mv -t": "mkdir /x; mv /opt/* /x; rm -rf /x",
    "a link to above": "ln -s /opt /o && rm -rf /o/venv",
    "a link, relative": "cd / && ln -s opt o && rm -rf o/venv",
    "unlink in a loop": "find /opt/venv -type f | while read f; do unlink $f; done",
    "emptying": "find /opt/venv -name version.py | xargs rm -f; rm -rf /opt/venv/lib",
    "a folder made anew": "rm -rf /opt && mkdir -p /opt/venv",
    "cp of nothing over it": "rm -r /opt/venv; cp -r /var/tmp /opt/venv",
    "a name in two words": "A=/opt B=venv; rm -rf $A/$B",
    "a name by printf": 'rm -rf "$(printf /opt/%s venv)"',
    "a name by basename": 'rm -rf "/opt/$(basename /x/venv)"',
    "a name by echo and sed": "rm -rf $(echo /opt/xenv | sed s/x/v/)",
    "a name by a file": "echo /opt/venv > /f; rm -rf $(cat /f)",
    "a name by a file and read": "echo /opt/venv > /f; read d < /f; rm -rf $d",
    "a name by a function": "d() { echo /opt/venv; }; rm -rf $(d)",
    "a name by arithmetic": "mkdir /opt/1; rm -rf /opt/$((1)) /opt/venv",
    "IFS": "IFS=:; for f in /opt/cache:/opt/venv; do rm -rf $f; done; D=/a:/opt/venv; rm -rf $D",
    "a trap": "trap 'rm -rf /opt/venv' EXIT; true",
    "a trap of a function": "end() { rm -rf /opt/venv; }; trap end EXIT INT",
    "set -f": "set -f; rm -rf /opt/venv",
    "&& in a chain with a test": "test -d /opt/venv && cd /opt && test -d venv && rm -rf venv",
    "|| in a chain": "test -f /opt/venv || rm -rf /opt/venv",
    "a while loop": "while [ -d /opt/venv ]; do rm -rf /opt/venv; done",
    "a case of files": "for f in /opt/*; do case $f in */venv) rm -rf $f ;; esac; done",
    "a case of files, but one": "for f in /opt/*; do case $f in */keep) ;; *) rm -rf $f ;; esac; done",
    "a test of files": 'for f in /opt/*; do [ -d "$f" ] && rm -rf "$f"; done',
}
CASES: dict[str, Case] = {
    **{f"by {name}": run(_VENV, command) for name, command in _AROUND.items()},
    "all but it, by case": run(
        _VENV, "for f in /opt/*; do case $f in */venv) ;; *) rm -rf $f ;; esac; done", shows=Shows.PERHAPS
    ),
    "BASH_ENV activates": build(
        _BASH,
        "COPY script.sh /env.sh",
        _MADE,
        "ENV BASH_ENV=/env.sh",
        "RUN pip install torch",
        script=_ACTIVATE,
        shows=Shows.PERHAPS,
    ),
    "BASH_ENV activates, removed": build(
        _BASH,
        "COPY script.sh /env.sh",
        _MADE,
        "ENV BASH_ENV=/env.sh",
        "RUN pip install torch",
        "RUN rm -rf /opt/venv",
        script=_ACTIVATE,
    ),
    "a login shell activates, removed": build(
        _LOGIN,
        _MADE,
        f"RUN echo '{_ACTIVATE.strip()}' >> /etc/profile",
        "RUN pip install torch",
        "RUN rm -rf /opt/venv",
    ),
    "a login shell activates by a file, removed": build(
        _LOGIN, _MADE, "COPY script.sh /etc/profile", "RUN pip install torch", "RUN rm -rf /opt/venv", script=_ACTIVATE
    ),
    "a shell of home activates, removed": build(
        'SHELL ["/bin/bash", "-ic"]',
        _MADE,
        f"RUN echo '{_ACTIVATE.strip()}' >> ~/.bashrc",
        "RUN pip install torch",
        "RUN rm -rf /opt/venv",
    ),
    "conda run as SHELL, its folder removed": build(
        "RUN conda create -y -n x python",
        'SHELL ["conda", "run", "-n", "x", "/bin/bash", "-c"]',
        "RUN pip install torch",
        'SHELL ["/bin/sh", "-c"]',
        "RUN rm -rf /opt/conda/envs/x",
    ),
    "conda run as SHELL, its environment removed": build(
        "RUN conda create -y -n x python",
        'SHELL ["conda", "run", "-n", "x", "/bin/bash", "-c"]',
        "RUN pip install torch",
        'SHELL ["/bin/sh", "-c"]',
        "RUN conda env remove -y -n x",
    ),
    "a user with another home": build(
        "RUN mkdir -p /srv/u && echo u:x:1001:1001::/srv/u:/bin/sh >> /etc/passwd && chown 1001 /srv/u",
        "USER u",
        "RUN pip install --user torch",
        "USER root",
        "RUN rm -rf /srv/u",
    ),
    "su, and the home removed": run("su app -c 'pip install --user torch'", "rm -rf /home/app"),
    "a venv at the root": run("python -m venv env && . env/bin/activate && pip install torch", "rm -rf /env"),
    "a folder at home": run("pip install -t ~/deps torch", "rm -rf /root/deps"),
    "a folder at home, by HOME": run('pip install -t "$HOME/deps" torch', "cd && rm -rf deps"),
    "a link made before": run("ln -s /data /opt/v && mkdir /data", "pip install -t /opt/v torch", "rm -rf /data"),
    "a link made before, relative": run(
        "mkdir /data /opt/a && ln -s ../../data /opt/a/v", "pip install -t /opt/a/v torch", "rm -rf /data"
    ),
    "a link made before, removed": run(
        "ln -s /data /opt/v && mkdir /data", "pip install -t /opt/v torch", "rm -rf /opt/v", shows=Shows.PERHAPS
    ),
    "a folder by an argument": build("ARG D=/deps", "RUN pip install -t $D torch", "RUN rm -rf $D"),
    "a folder by an argument that changes": build(
        "ARG D=/deps", "RUN pip install -t $D torch", "ARG D=/other", "RUN rm -rf $D", shows=Shows.PERHAPS
    ),
}
