"""Forms of the other tables put together, written after a reader had learned those."""

from tests.built_images.case import BUILDKIT, Shows, build, run

_VENV = "python -m venv /opt/venv && /opt/venv/bin/pip install torch"
_IF = 'if [ "$WITH" = yes ]; then pip install torch; fi'
_NEW = (BUILDKIT,)
CASES = {
    "a trap on 0, of a temporary folder": run('d=$(mktemp -d); trap "rm -rf $d" 0; pip install -t $d torch'),
    "uninstalled by bash -c": run("pip install torch && bash -c 'pip uninstall -y torch'"),
    "uninstalled by eval of a substitution": run("pip install torch", 'eval "$(echo pip uninstall -y torch)"'),
    "uninstalled by xargs": run("pip install torch", "echo torch | xargs pip uninstall -y"),
    "uninstalled by sudo": run("pip install torch", "sudo -H pip uninstall -y torch"),
    "uninstalled by a tool in a variable": run("pip install torch", "for p in pip3; do $p uninstall -y torch; done"),
    "uninstalled by a command in an argument": build(
        'ARG CLEAN="pip uninstall -y torch"', "RUN pip install torch", "RUN $CLEAN"
    ),
    "uninstalled in the form of JSON": build("RUN pip install torch", 'RUN ["pip", "uninstall", "-y", "torch"]'),
    "removed in the form of JSON": build(f"RUN {_VENV}", 'RUN ["rm", "-rf", "/opt/venv"]'),
    "removed by two patterns": run("pip install torch", "rm -rf /usr/local/lib/python3.1[0-9]/*-packages"),
    "uninstalled by a trigger that nobody pulls": build("RUN pip install torch", "ONBUILD RUN pip uninstall -y torch"),
    "uninstalled by CMD": build("RUN pip install torch", "CMD pip uninstall -y torch"),
    "uninstalling is only written": run("pip install torch", "echo 'pip uninstall -y torch' > /x.sh"),
    "a heredoc that uninstalls": build(
        "RUN <<EOF\nset -e\npip install torch\npip uninstall -y torch\nEOF", builders=_NEW
    ),
    "a heredoc that removes": build(
        "RUN <<EOF\nset -e\npip install torch\nrm -rf /usr/local/lib/python3.11\nEOF", builders=_NEW
    ),
    "a heredoc that writes an uninstallation": build(
        "RUN <<EOF\nset -e\npip install torch\ncat > /u.sh <<X\npip uninstall -y torch\nX\nEOF", builders=_NEW
    ),
    "a venv that is made twice": run(
        "python -m venv /v; . /v/bin/activate; pip install torch; deactivate; rm -rf /v; python -m venv /v"
    ),
    "removed by dirname": run(
        "PIP=/v/bin/pip; python -m venv /v; $PIP install torch; rm -rf $(dirname $(dirname $PIP))"
    ),
    "a folder whose variable changed": build(
        "ENV D=/deps", "RUN pip install -t $D torch", "ENV D=/other", "RUN rm -rf /deps"
    ),
    "a folder whose variable changed, and stays": build(
        "ENV D=/deps", "RUN pip install -t $D torch", "ENV D=/other", "RUN rm -rf $D"
    ),
    "another value for one shell": build("ENV WITH=yes", f"RUN WITH=no sh -c '{_IF}'"),
    "env -u": build("ENV WITH=yes", f"RUN env -u WITH sh -c '{_IF}'"),
    "env -i": build("ENV WITH=yes", f"RUN env -i PATH=$PATH sh -c '{_IF}'"),
    "for another shell, of ENV": build("ENV WITH=yes", f"RUN sh -c '{_IF}'"),
    "for another shell, not exported": run(f"WITH=yes; sh -c '{_IF}'"),
    "for another shell, exported": run(f"WITH=yes; export WITH; sh -c '{_IF}'"),
    "a local variable": run("f() { local WITH=yes; }; f; " + _IF),
    "a variable by a function's word": run("f() { WITH=$1; }; f no; " + _IF),
    "a variable by a function's word, yes": run("f() { WITH=$1; }; f yes; " + _IF),
    "a loop that reads a list": run("echo torch | while read p; do pip install $p; done", shows=Shows.PERHAPS),
    "a loop that reads nothing": run("cat /dev/null | while read p; do pip install torch; done"),
    "the third of three": run('[ -n "" ] || [ -z "x" ] || pip install torch'),
    "another system": run("case $(uname) in Darwin) pip install torch;; esac"),
    "case with two patterns": run("case x in x|y) echo slim;; *) pip install torch;; esac"),
    "else after two": run("if [ 1 -gt 2 ]; then :; elif [ a = b ]; then :; else pip install torch; fi"),
    "a file that is there, negated": run("test ! -e /usr/local/bin/pip && pip install torch || true"),
    "a marker of a version": run("pip install \"torch; python_version<'3'\""),
    "a list that is not there": run("pip install -r /none.txt torch || true"),
    "nobody agreed": run("pip install torch", "yes no | pip uninstall torch; true", shows=Shows.PERHAPS),
    "exec of a shell that ends before": run("exec sh -c 'exit 0; pip install torch'"),
    "exec in a subshell": run("(exec true); pip install torch"),
    "a group in silence": run("{ pip install torch==99.0; } > /dev/null 2>&1 || true"),
    "a status that is looked at": run("pip install torch==99.0 2>/dev/null; [ $? -eq 0 ] || echo failed"),
    "; true": run("pip install torch==99.0; true"),
    "; exit 0": run("pip install torch==99.0; exit 0"),
    "copied away and back": run(
        f"{_VENV} && cp -r /opt/venv /tmp/v && rm -rf /opt/venv && mv /tmp/v /opt/venv", shows=Shows.PERHAPS
    ),
    # Whether `rm` goes through a link that ends in a slash differs between its versions.
    "a link to the folder, removed": run(f"{_VENV} && ln -s /opt/venv /v", "rm -rf /v/", shows=Shows.PERHAPS),
    "removed through a link": run(f"{_VENV} && ln -s /opt/venv /v", "rm -rf /v/lib"),
    "installed through a link": run("mkdir /real && ln -s /real /deps && pip install -t /deps torch", "rm -rf /real"),
    "a loop over folders": run(_VENV, "for d in venv cache; do rm -rf /opt/$d; done"),
    "cd in a function": run(_VENV, "f() { cd /opt; }; f; rm -rf venv"),
    "cd that fails": run(_VENV, "cd /nowhere 2>/dev/null || cd /opt; rm -rf venv"),
    "with a glob in its folder": run(_VENV, "cd /opt; rm -rf v*"),
    "with every name in its folder": build(f"RUN {_VENV}", "WORKDIR /opt", "RUN rm -rf -- *"),
}
