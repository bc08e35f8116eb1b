"""The lines of a build history: the program of a RUN, with the build arguments and variables that it could see."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from agent.core.pytorch.shell.unknown import clean, unknown

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
_INNER_SHELL = re.compile(r"[\w./:=-]\s+/(?:usr/)?bin/(?:ba|da|a)?sh\s+-\w*c\s")  # not where a command may begin
_BUILDKIT = re.compile(r"\s+# buildkit\s*\Z")
_KEPT = 4_000  # characters of a line that is kept when it was read
_FLAGS = re.compile(r"\A(?:--(?:mount|network|security)=\S{1,1000}\s+){1,20}")


@dataclass(frozen=True, slots=True)
class RunLine:
    arguments: Mapping[str, str]
    program: str = ""  # "" where the line ran nothing
    is_strict: bool = False  # the shell was told to end at the first failure
    is_complete: bool = False  # the builder wrote all build arguments before the program, so another name has no value
    is_clear: bool = True  # False where nobody knows which words are arguments and which are the program
    is_piped_strictly: bool = False  # `-o pipefail`
    is_buildkits: bool = False  # which keeps what is written below a VOLUME
    is_short: bool = False  # its shell stands without a folder: a SHELL line sets it, or it is an exec form
    is_bash: bool = False  # `[[` and `==` are known to it; under /bin/sh nobody knows


_SETTINGS = ("ENV ", "WORKDIR ", "ARG ", "VOLUME ", "SHELL ", "USER ")


def is_setting(created_by: str) -> bool:
    """Whether a line changes what later lines see."""
    return _without_nop(created_by).startswith(_SETTINGS)


class Variables:
    """ENV and WORKDIR as they stand at each line, and the build arguments that were declared."""

    def __init__(self, env: Mapping[str, str], lines: Iterable[str]) -> None:
        self.folder = "/"
        self._final = env
        self._lines = lines
        self._named: frozenset[str] | None = None  # by any ENV line, also a later one
        self._set: dict[str, str] = {}
        self._unread: list[str] = []  # ENV lines: most histories need none of their values
        self._declared: set[str] = set()
        self.volumes: tuple[str, ...] = ()  # what a classic builder writes below them is lost
        self.home = "/root"
        self._shell = ""  # as the last SHELL line has it

    def see(self, created_by: str) -> bool:
        """Take in the line if it is one of these. False for every other line."""
        body = _without_nop(created_by)
        if body.startswith("ENV "):
            self._unread.append(body)
            return True
        if body.startswith("WORKDIR "):
            folder = body[8:].strip()
            self.folder = folder if folder.startswith("/") else f"{self.folder.rstrip('/')}/{folder}"
            return True
        if body.startswith("VOLUME "):
            self.volumes += tuple(_BUILDKIT.sub("", body[7:]).strip(" []").replace('"', "").replace(",", " ").split())
        if body.startswith("USER "):
            user = _BUILDKIT.sub("", body[5:]).strip().partition(":")[0]
            self.home = "/root" if user in ("root", "0") else f"/home/{user}"
        if body.startswith("SHELL "):
            self._shell = _BUILDKIT.sub("", body[6:])
        if body.startswith("ARG "):
            self._declared |= {word.partition("=")[0] for word in body[4:].split() if "=" in word}
        return False

    def get(self, name: str) -> str | None:
        """The variable's value here. One that no line sets is the base's own, whose lines may be absent."""
        for body in self._unread:
            self._set |= _env(body)
        self._unread.clear()
        if name in self._set:
            return clean(self._set[name])
        if name not in self._final:
            return None
        if self._named is None:
            bodies = map(_without_nop, self._lines)
            self._named = frozenset(name for body in bodies if body.startswith("ENV ") for name in _env(body))
        return unknown(f"${name}") if name in self._named else clean(self._final[name])

    def is_clear(self, line: RunLine) -> bool:
        """Whether it is sure what the program is: `RUN ["sh", "-c", "a", "b"]` is written as `sh -c a b`."""
        return line.is_clear and (not line.is_short or bool(self._shell))

    def may_be_argued(self, name: str, line: RunLine) -> bool:
        """Whether it may be a build argument though the line does not name it."""
        return not line.is_complete or (name in self._declared and not line.arguments)


def _without_nop(created_by: str) -> str:
    if "#(nop)" in created_by[:80] and (nop := _NOP.match(created_by)):
        return created_by[nop.end() :]
    return created_by


def _env(body: str) -> Mapping[str, str]:
    return _assignments(_BUILDKIT.sub("", body[4:]).split(), limit=100)


def parse(created_by: str) -> RunLine:
    """The line's program and what it could see."""
    return _parse_kept(created_by) if len(created_by) <= _KEPT else _parse(created_by)


def _parse(created_by: str) -> RunLine:
    text = clean(created_by.strip())
    body = _without_nop(text)
    keyword, _, rest = body.partition(" ")
    if keyword == "ARG":
        return RunLine(_assignments(rest.split(), limit=100))
    if body is not text or _INSTRUCTIONS.fullmatch(keyword):
        return RunLine({})
    arguments, command, is_clear = _split_arguments(
        _FLAGS.sub("", rest.lstrip() if keyword == "RUN" else body, count=1)
    )
    before, command = _without_wrapper(_BUILDKIT.sub("", command))
    shell = _SHELL.match(command)
    if shell is None or not re.search(r"-[A-Za-z]*c\b", shell[2]) or _is_one_word(command[shell.end() :]):
        is_words = text.endswith("# buildkit") or keyword != "RUN"
        program = _as_words(command) if is_words and not before else command
        return RunLine(arguments, before + program, is_complete=bool(arguments), is_clear=is_clear)
    flags = "".join(re.findall(r"(?<=\s)-([A-Za-z]+)", shell[2]))
    return RunLine(
        arguments,
        "" if "n" in flags else before + _unfolded(command[shell.end() :]),  # `sh -n` only reads
        is_strict="errexit" in shell[2] or "e" in flags,
        is_piped_strictly="pipefail" in shell[2],
        is_complete=True,
        is_buildkits=text.endswith("# buildkit"),
        is_clear=is_clear,
        is_short=not shell[1] and flags == "c" and not before and len(command[shell.end() :].split()) > 1,
        is_bash="bash" in shell[0] or "zsh" in shell[0],
    )


_parse_kept = lru_cache(maxsize=512)(_parse)  # images share the lines of their base


def _as_words(command: str) -> str:
    """The exec form, which builders write without its brackets and quotes: words, whatever stands between them."""
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in command.split())


def _without_wrapper(command: str) -> tuple[str, str]:
    """A program that sets what the wrapper around the shell sets, and the command without the wrapper."""
    if match := _CONDA.match(command):
        return f"CONDA_DEFAULT_ENV={match[2]}; ", command[match.end() :]
    if match := _SCRIPT_SHELL.match(command):
        return "", f"/bin/bash -ec {command[match.end() :]}"
    return "", command


def _unfolded(program: str) -> str:
    """The text of a heredoc that is the whole program."""
    if heredoc := _HEREDOC.match(program):
        return program[heredoc.end() :].removesuffix("\n").removesuffix(heredoc[2])
    return program


def _is_one_word(program: str) -> bool:
    quote = program[:1]
    if quote not in ("'", '"') or not program.endswith(quote) or len(program) < 3:
        return False
    return quote not in program[1:-1].replace('\\"', "") and " " in program


def _split_arguments(text: str) -> tuple[Mapping[str, str], str, bool]:
    """The build arguments, the command of `|2 A=1 B=two words /bin/sh -c command`, and whether that is sure.

    Nothing is quoted there: a value may hold what looks like another argument, or like the shell.
    """
    head, _, rest = text.partition(" ")
    if not re.fullmatch(r"\|[0-9]{1,4}", head):
        return {}, text, True
    count = int(head[1:])
    words: list[str] = []
    for match in re.finditer(r"\S+", rest):
        if match[0] in _SHELLS or (match[0] in _SHORT_SHELLS and rest[match.end() : match.end() + 2] == " -"):
            rest = rest[match.start() :]
            break
        words.append(match[0])
    arguments = _assignments(words, limit=count)
    named = sum(_ASSIGNMENT.match(word) is not None for word in words)
    if named > count > 1:
        arguments = {name: unknown(f"${name}") for name in arguments}
    return arguments, rest, named >= count and _INNER_SHELL.search(rest) is None


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
