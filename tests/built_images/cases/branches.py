"""Torch that is optional: tests of a build argument, each with the value that installs it and with another."""

from tests.built_images.case import ALPINE, Shows, build, each_value, run

_FORMS = {
    "if with =": 'if [ "$WITH" = "yes" ]; then pip install torch; fi',
    "if with == of bash": "bash -c 'if [[ $WITH == yes ]]; then pip install torch; fi'",
    "if with a pattern of bash": "bash -c 'if [[ \"$WITH\" == y* ]]; then pip install torch; fi'",
    "if with a regular expression of bash": "bash -c 'if [[ $WITH =~ ^(y|yes)$ ]]; then pip install torch; fi'",
    "if test": "if test x$WITH = xyes; then pip install torch; fi",
    "if !=": 'if [ "$WITH" != no ]; then pip install torch; fi',
    "if ! =": 'if ! [ "$WITH" = no ]; then pip install torch; fi',
    "else": 'if [ "$WITH" = no ]; then echo slim; else pip install torch; fi',
    "elif": 'if [ "$WITH" = cuda ]; then pip install x; elif [ "$WITH" = yes ]; then pip install torch; else true; fi',
    "nested": 'if [ -n "$WITH" ]; then if [ "$WITH" = yes ]; then pip install torch; fi; fi',
    "two tests with &&": 'if [ -n "$WITH" ] && [ "$WITH" = yes ]; then pip install torch; fi',
    "two tests with ||": 'if [ "$WITH" = 1 ] || [ "$WITH" = yes ]; then pip install torch; fi',
    "a test with -a": 'if [ -n "$WITH" -a "$WITH" = yes ]; then pip install torch; fi',
    "a test with -o": 'if [ "$WITH" = 1 -o "$WITH" = yes ]; then pip install torch; fi',
    "case": 'case "$WITH" in no|off) ;; yes|on) pip install torch ;; *) exit 1 ;; esac',
    "case with a pattern": "case $WITH in y*) pip install torch;; esac",
    "case with what is left": 'case "$WITH" in no) echo slim ;; *) pip install torch ;; esac',
    "test ||": '[ "$WITH" != yes ] || pip install torch',
    "exit before": 'set -e; if [ "$WITH" = no ]; then exit 0; fi; pip install torch',
    "exit before, in one list": '[ "$WITH" = yes ] || exit 0; pip install torch',
    "a for loop with a test": 'for p in numpy torch; do if [ "$WITH" = yes ]; then pip install $p; fi; done',
    "a while loop": 'while [ "$WITH" = yes ]; do pip install torch; WITH=done; done',
    "over several lines": 'if [ "$WITH" = "yes" ]; then \\\n      pip install --no-cache \\\n      torch; \\\n    fi',
    "by another variable": 'if [ "$WITH" = yes ]; then EXTRA=torch; else EXTRA=numpy; fi; pip install $EXTRA',
    "by a flag": "NEEDED=0; case $WITH in yes) NEEDED=1;; esac; if [ $NEEDED -eq 1 ]; then pip install torch; fi",
    "in a function": 'with() { [ "$WITH" = yes ]; }; if with; then pip install torch; fi',
    "in bash -c": "bash -c 'if [ \"$WITH\" = yes ]; then pip install torch; fi'",
}
_THAT_HIDE_A_FAILURE = {
    "test &&, || true": '[ "$WITH" = yes ] && pip install torch && echo done || echo slim',
    "test in a group": '{ [ "$WITH" = yes ] && pip install torch; } || :',
    "test in a subshell": '([ "$WITH" = yes ] && pip install torch) || true',
}
_EMPTY_OR_NOT = {
    "-n": 'if [ -n "$WITH" ]; then pip install torch; fi',
    "-z": 'if [ -z "$WITH" ]; then echo slim; else pip install torch; fi',
    "a bare word": 'if [ "$WITH" ]; then pip install torch; fi',
    "x$": 'if [ "x$WITH" != x ]; then pip install torch; fi',
    ":+": "pip install numpy ${WITH:+torch}",
    "-n without quotes": "if [ -n $WITH ]; then pip install torch; fi",  # true for an empty one
}
_NUMBERS = {
    "-eq": 'if [ "$WITH" -eq 1 ]; then pip install torch; fi',
    "-gt": "if [ $WITH -gt 0 ]; then pip install torch; fi",
    "arithmetic": "bash -c 'if (( WITH )); then pip install torch; fi'",
}
_ARCHITECTURE = 'if [ "$(uname -m)" = "{}" ]; then pip install torch; fi'
_WITHOUT_QUOTES = {  # what a shell says to an operator without an operand is an error, and so: no
    "!= without quotes": "if [ $WITH != no ]; then pip install torch; fi",
    "= without quotes": "if [ $WITH = yes ]; then pip install torch; fi",
    "! -z without quotes": "if [ ! -z $WITH ]; then pip install torch; fi",
    "a number": 'if [ "$WITH" -ge 0 ]; then pip install torch; fi',
    "case with sets": "case $WITH in [yY][eE][sS]) pip install torch;; esac",
}
_BASH = 'SHELL ["/bin/bash", "-c"]'
_THAT_IGNORE_A_FAILURE = {
    "|| before &&": '[ "$WITH" = 1 ] || [ "$WITH" = yes ] && pip install torch; exit 0',
    "a test before exit": 'test "$WITH" = yes && pip install torch; exit 0',
}
_NUMBER_THAT_IGNORES_A_FAILURE = {
    "-ne": "[ $WITH -ne 0 ] && pip install torch; true",
}
CASES = {
    **each_value(_THAT_IGNORE_A_FAILURE, ("yes", ""), Shows.PERHAPS),
    **each_value(_NUMBER_THAT_IGNORES_A_FAILURE, ("1", "0"), Shows.PERHAPS),
    "without spaces": build("ARG WITH=yes", 'RUN if [ "$WITH" = yes ];then pip install torch;fi'),
    "without spaces, no": build("ARG WITH=no", 'RUN if [ "$WITH" = yes ];then pip install torch;fi'),
    "case that falls through": build(_BASH, "RUN case no in no) ;& yes) pip install torch;; esac"),
    "case that stops": build(_BASH, "RUN case no in no) ;; yes) pip install torch;; esac"),
    "a counting loop of no round": build(_BASH, "RUN for ((i=0;i<0;i++)); do pip install torch; done"),
    "a program that is there, negated": run("if ! command -v pip; then pip install torch; fi"),
    "behind a loop": run("while :; do break; done; pip install torch"),
    "break outside of a loop": run("break; pip install torch"),
    "a pipeline with a failure": run("false | true && pip install torch"),
    "a pipeline with a failure, and pipefail": build(
        _BASH, "RUN set -o pipefail; false | true && pip install torch; true"
    ),
    **each_value(_WITHOUT_QUOTES, ("yes", "")),
    "two words without quotes": build(
        "ARG WITH", "RUN if [ $WITH != no ]; then pip install torch; fi", arguments={"WITH": "no way"}
    ),
    **each_value(_FORMS),
    **each_value(_THAT_HIDE_A_FAILURE, shows=Shows.PERHAPS),
    **each_value(_EMPTY_OR_NOT, ("1", "")),
    **each_value(_NUMBERS, ("1", "0")),
    "[[ of dash, which has none": build("ARG WITH=yes", 'RUN if [[ "$WITH" = yes ]]; then pip install torch; fi'),
    "[[ of busybox": build(
        "ARG WITH=yes", 'RUN if [[ "$WITH" = yes ]]; then pip install torch; fi', base=ALPINE, shows=Shows.PERHAPS
    ),
    "== of dash, which has none": build("ARG WITH=yes", 'RUN if [ "$WITH" == yes ]; then pip install torch; fi'),
    "another machine": run(_ARCHITECTURE.format("riscv64")),
    "this machine": run(_ARCHITECTURE.format("x86_64"), shows=Shows.PERHAPS),
    "a file that is not there": run("if [ -f /requirements-torch.txt ]; then pip install torch; fi"),
    "a file that is there": run("if [ -f /etc/passwd ]; then pip install torch; fi", shows=Shows.PERHAPS),
    "a program that is not there": run("if command -v nvidia-smi; then pip install torch; fi"),
    "a program that is there": run("if which pip; then pip install torch; fi", shows=Shows.PERHAPS),
    "false": run("if false; then pip install torch; fi"),
    "true": run("if true; then pip install torch; fi"),
    "no word to loop over": run('for version in $VERSIONS; do pip install "torch==$version"; done'),
    "words to loop over": run("for package in numpy torch; do pip install $package; done"),
    "while false": run("while false; do pip install torch; done"),
    "while it fails": run("while ! pip install torch; do sleep 1; done"),
    "until it works": run("until pip install torch; do sleep 1; done"),
    "break before": run("for n in 1 2; do break; pip install torch; done"),
    "break after": run("for n in 1 2; do pip install torch && break; done"),
    "continue before": run("for n in 1 2; do continue; pip install torch; done"),
}
