"""The lines of a build history: the program of a RUN, with the build arguments and variables that it could see."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.core.pytorch.shell_values import clean

# Patterns are bounded or run over single words: a line of history may be 100 kB long, and hostile.
_NOP = re.compile(r"/\S{1,60} -c #\(nop\)\s*")
_OPTION = r"(?:-[A-Za-z]{1,8}|--login|--noprofile|--norc|pipefail|errexit|nounset|xtrace)"
_SHELL = re.compile(
    r"\A(?:/usr/bin/env\s+)?((?:/(?:usr/|usr/local/)?bin/)?)(?:sh|bash|ash|dash|zsh)"
    rf"((?:\s+{_OPTION}){{1,8}})\s+"
)
_CONDA = re.compile(
    r"\A(?:\S{0,80}/)?(?:conda|mamba|micromamba)\s+run((?:\s+(?:--no-capture-output|--live-stream|-s|-v))*)"
    r"\s+(?:-n|--name)\s+(\S{1,80})(?:\s+--no-capture-output)?\s+(?=\S{0,20}(?:sh|bash)\s+-)"
)
_SCRIPT_SHELL = re.compile(r"\A/usr/local/bin/_dockerfile_shell\.sh\s+")  # of mambaorg/micromamba
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,80})=(?!=)")  # `torch==2.1` is a requirement
_HEREDOC = re.compile(r"\A<<-?\s*(['\"]?)(\w{1,40})\1[ \t]*\n")
_INSTRUCTIONS = re.compile(  # of a Dockerfile, but for RUN and ARG
    r"(?:ADD|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
    r"|WORKDIR)"
)
_SHELLS = frozenset(f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("sh", "bash", "ash"))
_SHORT_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_BUILDKIT = re.compile(r"\s+# buildkit\s*\Z")
_FLAGS = re.compile(r"\A(?:--(?:mount|network|security)=\S{1,1000}\s+){1,20}")


@dataclass(frozen=True, slots=True)
class RunLine:
    arguments: Mapping[str, str]
    program: str = ""  # "" where the line ran nothing
    is_strict: bool = False  # the shell was told to end at the first failure
    is_complete: bool = False  # the builder wrote all build arguments before the program, so another name has no value


class Variables:
    """ENV and WORKDIR as they stand at each line, and the build arguments that were declared."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.folder = "/"
        self._final = env
        self._set: dict[str, str] = {}
        self._declared: set[str] = set()

    def see(self, created_by: str) -> bool:
        """Take in the line if it is one of these. False for every other line."""
        body = created_by
        if created_by.startswith("/") and (nop := _NOP.match(created_by)):
            body = created_by[nop.end() :]
        if body.startswith("ENV "):
            self._set |= _assignments(_BUILDKIT.sub("", body[4:]).split(), limit=100)
            return True
        if body.startswith("WORKDIR "):
            folder = body[8:].strip()
            self.folder = folder if folder.startswith("/") else f"{self.folder.rstrip('/')}/{folder}"
            return True
        if body.startswith("ARG "):
            self._declared |= _assignments(body[4:].split(), limit=100).keys()
        return False

    def get(self, name: str) -> str | None:
        """The variable's value here. One that no line has set yet is the base's own, whose lines may be absent."""
        found = self._set.get(name, self._final.get(name))
        return None if found is None else clean(found)

    def may_be_argued(self, name: str, line: RunLine) -> bool:
        """Whether it may be a build argument though the line does not name it."""
        return not line.is_complete or (name in self._declared and not line.arguments)


def parse(created_by: str) -> RunLine:
    text = created_by.strip()
    nop = _NOP.match(text)
    body = text[nop.end() :] if nop else text
    keyword, _, rest = body.partition(" ")
    if keyword == "ARG":
        return RunLine(_assignments(rest.split(), limit=100))
    if nop or _INSTRUCTIONS.fullmatch(keyword):
        return RunLine({})
    command = rest.lstrip() if keyword == "RUN" else body
    arguments, command = _split_arguments(_FLAGS.sub("", command, count=1))
    program, is_shell, is_strict = _program(_BUILDKIT.sub("", command))
    return RunLine(arguments, program, is_strict, is_complete=is_shell or bool(arguments))


def _program(command: str) -> tuple[str, bool, bool]:
    """The program, whether the builder's shell stood before it, and whether that shell is strict."""
    before = ""
    if match := _CONDA.match(command):
        before, command = f"CONDA_DEFAULT_ENV={match[2]}; ", command[match.end() :]
    if match := _SCRIPT_SHELL.match(command):
        return command[match.end() :], True, True
    match = _SHELL.match(command)
    if match is None or not re.search(r"-[A-Za-z]*c\b", match[2]):
        return before + command, False, False
    program = command[match.end() :]
    if _is_one_word(program):  # `RUN bash -c "program"`, by a builder that writes no shell before it
        return before + command, False, False
    if heredoc := _HEREDOC.match(program):
        program = program[heredoc.end() :].removesuffix("\n").removesuffix(heredoc[2])
    flags = re.findall(r"-([A-Za-z]+)|errexit", match[2])
    is_strict = "errexit" in match[2] or any("e" in flag for flag in flags)
    return before + program, True, is_strict


def _is_one_word(program: str) -> bool:
    quote = program[:1]
    if quote not in ("'", '"') or not program.endswith(quote) or len(program) < 3:
        return False
    return quote not in program[1:-1].replace('\\"', "") and " " in program


def _split_arguments(text: str) -> tuple[Mapping[str, str], str]:
    """The build arguments and the command of `|2 A=1 B=two words /bin/sh -c command`."""
    head, _, rest = text.partition(" ")
    if not re.fullmatch(r"\|[0-9]{1,4}", head):
        return {}, text
    words: list[str] = []
    for match in re.finditer(r"\S+", rest):
        if match[0] in _SHELLS or (match[0] in _SHORT_SHELLS and rest[match.end() : match.end() + 2] == " -"):
            return _assignments(words, limit=int(head[1:])), rest[match.start() :]
        words.append(match[0])
    return _assignments(words, limit=int(head[1:])), rest


def _assignments(words: Iterable[str], *, limit: int) -> Mapping[str, str]:
    """Names and values, where a value may run over several words and quotes are not kept."""
    values: dict[str, list[str]] = {}
    name = ""
    for word in words:
        if len(values) < limit and (match := _ASSIGNMENT.match(word)):
            name = match[1]
            values[name] = [word[match.end() :]]
        elif name:
            values[name].append(word)
    return {name: _unquoted(" ".join(parts)) for name, parts in values.items()}


def _unquoted(text: str) -> str:
    return text.replace('"', "").replace("'", "")
