"""Parse the lines of a build history: the program of a RUN line, and the build arguments and variables it had."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from agent.core.pytorch.shell.unknown import clean, unknown

# The patterns are bounded or apply to single words: a history line may be 100 kB long, and hostile.
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
_SCRIPT_SHELL = re.compile(r"\A/usr/local/bin/_dockerfile_shell\.sh\s+")  # the shell of mambaorg/micromamba
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,80})=(?!=)")  # `torch==2.1` is a requirement
_HEREDOC = re.compile(r"\A<<-?\s*(['\"]?)(\w{1,40})\1[ \t]*\n")
_INSTRUCTIONS = re.compile(  # all instructions of a Dockerfile except RUN and ARG
    r"(?:ADD|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
    r"|WORKDIR)"
)
_SHELLS = frozenset(f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("sh", "bash", "ash"))
_SHORT_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_INNER_SHELL = re.compile(r"[\w./:=-]\s+/(?:usr/)?bin/(?:ba|da|a)?sh\s+-\w*c\s")  # in the middle of a command
_BUILDKIT = re.compile(r"\s+# buildkit\s*\Z")
_KEPT = 4_000  # characters; a longer line is not cached after parsing
_FLAGS = re.compile(r"\A(?:--(?:mount|network|security)=\S{1,1000}\s+){1,20}")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of a build history: the program of a RUN line, or the build arguments of an ARG line."""

    arguments: Mapping[str, str]
    program: str = ""  # "" if the line ran nothing
    is_strict: bool = False  # the shell ends at the first failure (`-e`)
    is_complete: bool = False  # all build arguments are listed before the program, so no other name has a value
    is_clear: bool = True  # False if it is unknown where the arguments end and the program begins
    is_piped_strictly: bool = False  # `-o pipefail`
    is_buildkits: bool = False  # BuildKit ran the line; it keeps files that were written below a VOLUME
    is_short: bool = False  # the shell is named without a folder: a SHELL line sets it, or the line is an exec form
    is_bash: bool = False  # the shell supports `[[` and `==`; for /bin/sh that is unknown


_SETTINGS = ("ENV ", "WORKDIR ", "ARG ", "VOLUME ", "SHELL ", "USER ")


def is_setting(created_by: str) -> bool:
    """Whether a line affects the programs of later lines."""
    return _without_nop(created_by).startswith(_SETTINGS)


class Variables:
    """ENV and WORKDIR at the current line, and the build arguments declared so far."""

    def __init__(self, env: Mapping[str, str], lines: Iterable[str]) -> None:
        self.folder = "/"
        self._final = env
        self._lines = lines
        self._named: frozenset[str] | None = None  # the variables of all ENV lines, later ones included
        self._set: dict[str, str] = {}
        self._unread: list[str] = []  # ENV lines that are not parsed yet: most histories never need their values
        self._declared: set[str] = set()
        self.volumes: tuple[str, ...] = ()  # the classic builder loses files that are written below these folders
        self.home = "/root"
        self._shell = ""  # the value of the last SHELL line

    def apply(self, created_by: str) -> bool:
        """Apply a line that sets one of these.

        Returns True for ENV and WORKDIR lines, which need no further reading.
        """
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
        """The variable's value at this line; None if it is not set.

        A variable of the final ENV that no line sets comes from the base image, whose lines may be missing.
        """
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
        """Whether the line's program is certain. `RUN ["sh", "-c", "a", "b"]` runs `a`; recorded is `sh -c a b`."""
        return line.is_clear and (not line.is_short or bool(self._shell))

    def may_be_argued(self, name: str, line: RunLine) -> bool:
        """Whether the name may be a build argument, although the line does not list it."""
        return not line.is_complete or (name in self._declared and not line.arguments)


def _without_nop(created_by: str) -> str:
    if "#(nop)" in created_by[:80] and (nop := _NOP.match(created_by)):
        return created_by[nop.end() :]
    return created_by


def _env(body: str) -> Mapping[str, str]:
    return _assignments(_BUILDKIT.sub("", body[4:]).split(), limit=100)


def parse(created_by: str) -> RunLine:
    """The line's program, with the build arguments that it had."""
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
        "" if "n" in flags else before + _unfolded(command[shell.end() :]),  # `sh -n` does not run the program
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
    """An exec form as a program. Builders record it without brackets and quotes, so each word is quoted again."""
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in command.split())


def _without_wrapper(command: str) -> tuple[str, str]:
    """A program with the assignments of the wrapper around the shell, and the command without the wrapper."""
    if match := _CONDA.match(command):
        return f"CONDA_DEFAULT_ENV={match[2]}; ", command[match.end() :]
    if match := _SCRIPT_SHELL.match(command):
        return "", f"/bin/bash -ec {command[match.end() :]}"
    return "", command


def _unfolded(program: str) -> str:
    """The body of the heredoc, if the program is a single heredoc; else the program itself."""
    if heredoc := _HEREDOC.match(program):
        return program[heredoc.end() :].removesuffix("\n").removesuffix(heredoc[2])
    return program


def _is_one_word(program: str) -> bool:
    quote = program[:1]
    if quote not in ("'", '"') or not program.endswith(quote) or len(program) < 3:
        return False
    return quote not in program[1:-1].replace('\\"', "") and " " in program


def _split_arguments(text: str) -> tuple[Mapping[str, str], str, bool]:
    """The build arguments and the command of `|2 A=1 B=two words /bin/sh -c command`, and whether both are certain.

    The values are not quoted, so a value may contain text that looks like another argument or like the shell.
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
    """Names and values. A value may consist of several words; its quotes are removed."""
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
