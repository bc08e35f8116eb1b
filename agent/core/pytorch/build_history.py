"""What an image's build history installed, as far as torch goes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.core import model, tags

# Patterns are bounded or run over single words: a line of history may be 100 kB long, and hostile.
_NOP = re.compile(r"/\S{1,60} -c #\(nop\)\s*")
_SHELL = re.compile(r"\A/(?:usr/)?bin/(?:sh|bash|ash)(?:\s+(?:-[A-Za-z]{1,8}|pipefail|errexit|nounset)){1,8}\s+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,80})=(?!=)")  # `torch==2.1` is a requirement
_VARIABLE = re.compile(
    r"\$(?:\{([A-Za-z_][A-Za-z0-9_]{0,80})(?::?[-=+?][^{}]{0,200})?\}|([A-Za-z_][A-Za-z0-9_]{0,80}))"
)
_SEPARATOR = re.compile(r"&&|[;|\n]")
_REMOVAL = re.compile(r"(?<![\w-])(?:uninstall|remove|purge)(?!\w)")
_PIP = re.compile(r"pip[23]?(?:\.[0-9]{1,2})?")
# An option whose next word is its value: `conda install -c pytorch faiss` does not install pytorch.
_TAKES_VALUE = re.compile(
    r"-[A-Za-z]{0,6}[cnprtfi]"
    r"|--(?:channel|name|prefix|requirement|constraint|target|find-links|index-url|extra-index-url)"
)
_TORCH = re.compile(
    r"(?:[\w.-]{1,60}::)?(?:python3-torch(?:-cuda)?|(?:py)?torch(?:-[cg]pu)?)"
    r"(?:\[[\w,.-]{0,80}\])?(?![\w.*/:\[-])"
)
_WHEEL = re.compile(r"torch-([0-9][\w.]{0,40}).{0,200}\.whl", re.DOTALL)
_COMPANION = re.compile(r"(?:[\w.-]{1,60}::)?(?:torchvision|torchaudio|pytorch-cuda)(?![\w.*/-])")
_PIN = re.compile(r"={1,3}(.{1,60})")
_VERSION = re.compile(
    r"v?([0-9]{1,4}(?:\.[0-9]{1,9}){1,3}(?:(?:a|b|rc)[0-9]{1,9})?(?:\.post[0-9]{1,9})?(?:\.dev[0-9]{1,9})?)"
)
_INDEX = re.compile(r"download\.pytorch\.org/whl/(?:nightly/|test/)?([a-z0-9.]{1,20})")
_AZURE_ENVIRONMENT = re.compile(r"(?<![A-Za-z0-9])ptca(?![A-Za-z0-9])")

_INSTRUCTIONS = re.compile(  # of a Dockerfile, but for RUN and ARG
    r"(?:ADD|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
    r"|WORKDIR)"
)
_SHELLS = frozenset(f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("sh", "bash", "ash"))
_INSTALLERS = frozenset({"conda", "mamba", "micromamba", "uv", "poetry", "pdm", "pipenv", "apt", "apt-get"})
_VERBS = frozenset({"install", "add", "create"})
_SPEAKERS = frozenset({"echo", "printf"})  # `echo pip install torch` installs nothing
_ARGUMENTS = frozenset({"TORCH", "PYTORCH", "TORCH_VERSION", "PYTORCH_VERSION"})
_MOST_FILLED = 250_000  # characters that variables may add to all commands; a hostile line would grow without end


@dataclass(frozen=True, slots=True)
class Installs:
    """What a build history says of torch."""

    torch: str = ""  # the command that installs it: "pip install torch==2.9.0"; "" where none does
    version: str | None = None  # the torch that was installed last, or the one a build argument names
    accelerator: str | None = None  # of the wheel index that was used
    hints: tuple[str, ...] = ()  # lesser signs, at most one of each kind
    is_whole: bool = True  # False where a line was left out, for its variables would have made it too long


@dataclass(frozen=True, slots=True)
class _Step:
    """A line of history that ran something: its build arguments, and its commands with variables filled in."""

    arguments: Mapping[str, str]
    commands: tuple[str, ...] = ()  # without those that uninstall


def scan(history: Iterable[model.HistoryStep]) -> Installs:
    """Read all commands that a build ran. ENV and LABEL lines are left out: the image's own ones are the truth."""
    reader = _Reader()
    for line in history:
        if is_read(line.created_by):
            reader.read(line.created_by)
    version = reader.version or reader.argued
    return Installs(reader.torch, version, reader.accelerator, tuple(reader.hints.values()), reader.is_whole)


def is_read(line: str) -> bool:
    """Whether a line of history can tell anything about torch. Nearly none can, and that is cheap to see."""
    return "torch" in line.lower() or "ptca" in line


def plain_version(text: str) -> str | None:
    """`v2.1.0`, `2.2.0a0+81ea7a4` and `2.6.0.*` as `2.1.0`, `2.2.0a0` and `2.6.0`; None for what is no version."""
    match = _VERSION.match(text.strip(" \"'"))
    return match[1] if match else None


class _TooLongError(Exception):
    """With its variables filled in a line is too long to read."""


class _Reader:
    """What the lines that were read say of torch."""

    def __init__(self) -> None:
        self.torch = ""
        self.version: str | None = None
        self.argued: str | None = None  # the version in a build argument
        self.accelerator: str | None = None
        self.hints: dict[str, str] = {}
        self.is_whole = True
        self._filling = _Filling()

    def read(self, created_by: str) -> None:
        try:
            step = _read(created_by, self._filling)
        except _TooLongError:  # the whole line is left out: with a variable that is not filled in, `torch$A` is torch
            self.is_whole = False
            return
        self._take_arguments(step.arguments)
        for command in step.commands:
            if is_read(command):
                self._take(command)

    def _take_arguments(self, arguments: Mapping[str, str]) -> None:
        for name in sorted(_ARGUMENTS & arguments.keys()):
            if value := arguments[name]:
                told = _argued_version(value)
                # A value that is no version may be an address, with a password in it.
                self.hints["argument"] = f"build argument {name}" + (f"={told}" if told else "")
                self.argued = told or self.argued

    def _take(self, command: str) -> None:
        self.hints |= _hints(command)
        for index in _INDEX.finditer(command):
            self.accelerator = tags.accelerator(index[1]) or self.accelerator
        for text, pinned in _installed(command, self.hints):
            self.torch, self.version = text, pinned or self.version


class _Filling:
    """Puts values in the place of variables, up to a total length."""

    def __init__(self) -> None:
        self._room = _MOST_FILLED

    def fill(self, command: str, variables: Mapping[str, str]) -> str:
        """Raises _TooLongError."""
        return _VARIABLE.sub(lambda match: self._value(match, variables), command) if "$" in command else command

    def _value(self, match: re.Match[str], variables: Mapping[str, str]) -> str:
        value = variables.get(match[1] or match[2], match[0])
        self._room -= len(value)
        if self._room < 0:
            raise _TooLongError
        return value


def _read(created_by: str, filling: _Filling) -> _Step:
    text = created_by.strip()
    nop = _NOP.match(text)
    body = text[nop.end() :] if nop else text
    keyword, _, rest = body.partition(" ")
    if keyword == "ARG":
        return _Step(_assignments(rest.split(), limit=100))
    if _INSTRUCTIONS.fullmatch(keyword):
        return _Step({})
    command = rest.lstrip() if keyword == "RUN" else body
    arguments, command = _split_arguments(command)
    return _Step(arguments, tuple(_commands(_SHELL.sub("", command, count=1), dict(arguments), filling)))


def _split_arguments(text: str) -> tuple[Mapping[str, str], str]:
    """The build arguments and the command of `|2 A=1 B=two words /bin/sh -c command`."""
    head, _, rest = text.partition(" ")
    if not re.fullmatch(r"\|[0-9]{1,4}", head):
        return {}, text
    words: list[str] = []
    for match in re.finditer(r"\S+", rest):
        if match[0] in _SHELLS:
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


def _commands(text: str, variables: dict[str, str], filling: _Filling) -> Iterator[str]:
    """The commands of a shell line. Of several values that a variable may get, the first one counts."""
    text = _unquoted(text.replace("\\\n", " "))
    removes = _REMOVAL.search(text) is not None
    for part in _SEPARATOR.split(text):
        if not part or (removes and _REMOVAL.search(part)):
            continue
        command = filling.fill(part, variables).strip()
        if "=" in command and " " not in command and (match := _ASSIGNMENT.match(command)):
            variables.setdefault(match[1], command[match.end() :])
        elif command:
            yield command


def _installed(command: str, hints: dict[str, str]) -> Iterator[tuple[str, str | None]]:
    """Each (text, pinned version) of torch that a command installs. What pulls torch in is added to the hints."""
    tool, verb, words = _install_words(command)
    for word in words:
        name = word.rpartition("/")[2]
        if match := _WHEEL.match(name):
            yield f"{tool} {verb} {name}", plain_version(match[1])
        elif match := _TORCH.match(word):
            pin = _PIN.match(word, match.end())
            # What follows `@` is an address, which may hold a password.
            yield f"{tool} {verb} {word.partition('@')[0]}", plain_version(pin[1]) if pin else None
        elif _COMPANION.match(word) or "torch" in word.partition("[")[2]:
            hints["package"] = f"{tool} {verb} {name.partition('@')[0]}"


def _install_words(command: str) -> tuple[str, str, tuple[str, ...]]:
    """The tool, its verb, and the words after it that may name a package."""
    words = command.split()
    for start, written in enumerate(words):
        word = _bare(written)
        if word in _SPEAKERS or word.startswith("#"):
            break
        tool = word.rpartition("/")[2]
        if tool in _INSTALLERS or _PIP.fullmatch(tool):
            for at in range(start + 1, len(words)):
                if (verb := _bare(words[at])) in _VERBS:
                    return tool, verb, tuple(_packages(words[at + 1 :]))
            break
    return "", "", ()


def _bare(word: str) -> str:
    return word.strip("()[]{},`\\") if "[" not in word else word


def _packages(words: Iterable[str]) -> Iterator[str]:
    skip = False
    for word in map(_bare, words):
        if word.startswith("#"):
            return
        is_option = word.startswith("-")
        if not skip and not is_option and "torch" in word:
            yield word
        skip = is_option and _TAKES_VALUE.fullmatch(word) is not None


def _hints(command: str) -> dict[str, str]:
    hints = {}
    if "download.pytorch.org" in command:
        hints["index"] = "download.pytorch.org"
    if _AZURE_ENVIRONMENT.search(command):
        hints["environment"] = "conda environment ptca"
    return hints


def _argued_version(value: str) -> str | None:
    """The version in a build argument: `2.6.0`, or `torch==2.1.0 torchvision`."""
    if pin := re.match(r"(?:py)?torch={1,3}(\S{1,60})", value):
        return plain_version(pin[1])
    return plain_version(value)
