"""Where the value of a variable comes from, and what takes it away again."""

from tests.built_images.case import BUILDKIT, CLASSIC, WITH_ENV, Shows, build, run

_IF = 'RUN if [ "$WITH" = yes ]; then pip install torch; fi'
_UNLESS = 'RUN if [ -z "$WITH" ]; then pip install torch; fi'
CASES = {
    "an argument that is not given": build("ARG WITH", _IF),
    "an argument that is given": build("ARG WITH", _IF, arguments={"WITH": "yes"}),
    "a default that is overridden": build("ARG WITH=yes", _IF, arguments={"WITH": "no"}),
    "an argument that is named after": build(_IF, "ARG WITH=yes", arguments={"WITH": "yes"}),
    "an argument above FROM": build(_IF, head=("ARG WITH=yes",)),
    "an argument above FROM, named again": build("ARG WITH", _IF, head=("ARG WITH=yes",)),
    "the later of two defaults": build("ARG WITH=yes", "ARG WITH=no", _IF),
    "the later of two defaults, yes": build("ARG WITH=no", "ARG WITH=yes", _IF),
    "nobody's variable": build(_IF),
    "nobody's variable, unless": build(_UNLESS),
    "ENV": build("ENV WITH=yes", _IF),
    "ENV, no": build("ENV WITH=no", _IF),
    "ENV after": build(_IF, "ENV WITH=yes"),
    "ENV after, unless": build(_UNLESS, "ENV WITH=yes", shows=Shows.PERHAPS),  # the base may have set it before
    "ENV changed after": build("ENV WITH=no", _IF, "ENV WITH=yes"),
    "ENV changed after, from yes": build("ENV WITH=yes", _IF, "ENV WITH=no"),
    # The builders differ: BuildKit takes the later line.
    "ENV before ARG": build("ENV WITH=no", "ARG WITH=yes", _IF, arguments={"WITH": "yes"}, shows=Shows.PERHAPS),
    "ENV before ARG, no": build("ENV WITH=yes", "ARG WITH", _IF, arguments={"WITH": "no"}, shows=Shows.PERHAPS),
    "ENV over ARG, yes": build("ARG WITH=no", "ENV WITH=yes", _IF),
    "ENV of an argument": build("ARG FLAVOUR=no", "ENV WITH=$FLAVOUR", _IF),
    "ENV of an argument, yes": build("ARG FLAVOUR=no", "ENV WITH=${FLAVOUR}", _IF, arguments={"FLAVOUR": "yes"}),
    "ENV with a default": build("ENV WITH=${NOBODY:-no}", _IF),
    "ENV with a default, yes": build("ENV WITH=${NOBODY:-yes}", _IF),
    "ENV of the base": build(_IF, base=WITH_ENV),
    "ENV of the base, unless": build(_UNLESS, base=WITH_ENV),
    "ENV of the base, unless, changed after": build(_UNLESS, "ENV WITH=", base=WITH_ENV),
    "ENV of the base, changed before": build("ENV WITH=no", _IF, base=WITH_ENV),
    "an argument that no line names": build(
        'RUN if [ -z "$HTTP_PROXY" ]; then pip install torch; fi', arguments={"HTTP_PROXY": "http://localhost"}
    ),
    "a variable of the shell": run('if [ -z "$PPID" ]; then pip install torch; fi'),
    "a variable of bash": run("bash -c 'if [ -z \"$BASH_VERSION\" ]; then pip install torch; fi'"),
    "a variable of the engine": run('if [ -z "$HOSTNAME" ]; then pip install torch; fi', shows=Shows.PERHAPS),
    "set in an earlier line": run("export WITH=yes", _IF.removeprefix("RUN ")),
    "set in the same line": run(f"export WITH=yes && {_IF.removeprefix('RUN ')}"),
    "set for one command": run(f"WITH=yes true; {_IF.removeprefix('RUN ')}"),
    "set in a subshell": run(f"(WITH=yes); {_IF.removeprefix('RUN ')}"),
    "set in a pipeline": run(f"WITH=yes | true; {_IF.removeprefix('RUN ')}"),
    "set in a group": run("{ WITH=yes; }; " + _IF.removeprefix("RUN ")),
    "set and set again": run(f"WITH=yes; WITH=no; {_IF.removeprefix('RUN ')}"),
    "set and taken back": run(f"WITH=yes; unset WITH; {_IF.removeprefix('RUN ')}"),
    "set by :=": run(f": ${{WITH:=no}}; {_IF.removeprefix('RUN ')}"),
    "set by :=, yes": run(f": ${{WITH:=yes}}; {_IF.removeprefix('RUN ')}"),
    "set by :=, unless": run(f": ${{WITH:=no}}; {_UNLESS.removeprefix('RUN ')}"),
    "set by eval": build("ENV WITH=yes", f"RUN eval WITH=no; {_IF.removeprefix('RUN ')}"),
    "set by a file": build(
        "ENV WITH=yes", "RUN echo WITH=no > /settings", f"RUN . /settings && {_IF.removeprefix('RUN ')}"
    ),
    "set by read": build("ENV WITH=yes", f"RUN echo no > /flag; read WITH < /flag; {_IF.removeprefix('RUN ')}"),
    "set by a loop": build("ENV WITH=yes", f"RUN for WITH in yes no; do :; done; {_IF.removeprefix('RUN ')}"),
    "set by a function": build("ENV WITH=yes", "RUN slim() { WITH=no; }; slim; " + _IF.removeprefix("RUN ")),
    "set by printf -v": build(
        "ENV WITH=yes", 'SHELL ["/bin/bash", "-c"]', f"RUN printf -v WITH no; {_IF.removeprefix('RUN ')}"
    ),
    "positional": run('set -- no; if [ "$1" = yes ]; then pip install torch; fi'),
    "positional, yes": run('set -- yes; if [ "$1" = yes ]; then pip install torch; fi'),
    "of a program": run('WITH=$(cat /etc/hostname); if [ "$WITH" = yes ]; then pip install torch; fi'),
    "in single quotes": build("ARG WITH=yes", "RUN if [ '$WITH' = yes ]; then pip install torch; fi"),
    "the name of the package": build("ARG EXTRA=torch", "RUN pip install numpy $EXTRA"),
    "the name of the package, other": build("ARG EXTRA=torch", "RUN pip install numpy $EXTRA", arguments={"EXTRA": ""}),
    "several packages": build("ARG EXTRA", "RUN pip install $EXTRA", arguments={"EXTRA": "numpy torch==2.4.0"}),
    "a package with a default": run("pip install ${EXTRA:-torch}"),
    "a package with a default, other": build("ENV EXTRA=numpy", "RUN pip install ${EXTRA:-torch}"),
    "a package in single quotes": build("ENV EXTRA=torch", "RUN pip install 'no-torch-${EXTRA}' || true"),
    "the end of a value": build("ARG FLAVOUR=cpu-1", 'RUN if [ "${FLAVOUR%-*}" = gpu ]; then pip install torch; fi'),
    "the end of a value, yes": build(
        "ARG FLAVOUR=gpu-1", 'RUN if [ "${FLAVOUR%-*}" = gpu ]; then pip install torch; fi'
    ),
    "in lower case": build(
        "ARG WITH=NO", 'SHELL ["/bin/bash", "-c"]', 'RUN if [ "${WITH,,}" != no ]; then pip install torch; fi'
    ),
    "in lower case by a program": build(
        "ARG WITH=NO", 'RUN if [ "$(echo $WITH | tr A-Z a-z)" != no ]; then pip install torch; fi'
    ),
    "the length of a value": build("ARG WITH=", "RUN if [ ${#WITH} -gt 0 ]; then pip install torch; fi"),
    "a sum": run("if [ $((1 + 1)) -eq 3 ]; then pip install torch; fi"),
    "in capitals": build("ARG WITH=YES", _IF),
    "the version": build("ARG TORCH_VERSION=2.4.0", "RUN pip install --no-cache-dir torch==${TORCH_VERSION}"),
    "the command": run('INSTALL="pip install"; $INSTALL torch'),
    "the command, unused": run('INSTALL="pip install torch"; echo ready'),
    "an argument with words of a shell": build(
        "ARG NOTE", "RUN echo ready", arguments={"NOTE": "x /bin/sh -c pip install torch"}
    ),
    "an argument with another inside": build(
        "ARG A", "ARG WITH=no", _IF, arguments={"A": "x WITH=yes"}, builders=(CLASSIC, BUILDKIT)
    ),
    "everything but torch": build(
        "ENV TORCH_CUDA_ARCH_LIST=8.0",
        "ARG TORCH_VERSION=2.4.0",
        "ARG INDEX=https://download.pytorch.org/whl/cu124",
        "ARG WITH=no",
        'RUN if [ "$WITH" = yes ]; then pip install torch==$TORCH_VERSION --index-url $INDEX; fi',
    ),
    "everything and torch": build(
        "ENV TORCH_CUDA_ARCH_LIST=8.0",
        "ARG TORCH_VERSION=2.4.0",
        "ARG INDEX=https://download.pytorch.org/whl/cu124",
        "ARG WITH=no",
        'RUN if [ "$WITH" = yes ]; then pip install torch==$TORCH_VERSION --index-url $INDEX; fi',
        arguments={"WITH": "yes"},
    ),
    "a hint and a branch that nobody can know": build(
        "ENV TORCH_CUDA_ARCH_LIST=8.0", "RUN if command -v nvidia-smi; then pip install torch; fi"
    ),
    "the platform": build(
        "ARG TARGETARCH", 'RUN if [ "$TARGETARCH" = amd64 ]; then pip install torch; fi', builders=(BUILDKIT,)
    ),
    "another platform": build(
        "ARG TARGETARCH", 'RUN if [ "$TARGETARCH" = arm64 ]; then pip install torch; fi', builders=(BUILDKIT,)
    ),
    "a word of the shell that is set": run("if [ $? -ne 0 ]; then pip install torch; fi"),
    "an earlier status": run("true; if [ $? -eq 0 ]; then pip install torch; fi", shows=Shows.PERHAPS),
}
