"""Find out from an image's build history whether torch was installed.

A RUN line is a shell program, and the package `shell` follows it as a shell would: a command in a branch that was not
taken is not a sign, and a command that may not have run is a weak sign. Only lines that may install torch are followed,
and after an installation the lines that may remove it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from agent.core import model
from agent.core.images.versions import plain_version
from agent.core.pytorch import other_paths, run_lines
from agent.core.pytorch.run_lines import RunLine
from agent.core.pytorch.shell import packages
from agent.core.pytorch.shell.facts import INDEX, NOTHING, Facts, join
from agent.core.pytorch.shell.installing import may_install
from agent.core.pytorch.shell.interpreter import TooLongError
from agent.core.pytorch.shell.run import Runner
from agent.core.pytorch.shell.state import State
from agent.core.pytorch.shell.unknown import is_known, unknown
from agent.core.pytorch.shell.words import UnreadableError

__all__ = ["TorchInstalls", "is_read", "scan"]

_ARGUMENTS = frozenset({"TORCH", "PYTORCH", "TORCH_VERSION", "PYTORCH_VERSION"})
_REMOVAL = re.compile(
    r"(?<![\w-])(?:uninstall|remove|purge|rm|rmdir|rmtree|sync|eval|dpkg|mv|find|unlink|--clear|--rev|--revision|--prune)(?!\w)"
    r"|(?:uninstall|remove|clean|slim|strip|prune)\w*\.(?:sh|py)|pip-sync|uv\svenv|(?:conda|mamba)\screate"
)
# Commands that remove a folder or an environment, and that `shell` does not follow.
_ELSEWHERE = re.compile(
    r"(?<![\w-])(?:userdel\s[^;&|\n]*-\w*r|deluser\s[^;&|\n]*--remove|git\s+clean\s|zip\s+-\w*m|rsync\s[^;&|\n]*--del"
    r"|poetry\s+(?:env\s+remove|sync|install\s[^;&|\n]*--sync)|pipenv\s+--rm|uv\s+python\s+uninstall|apt-mark\s+auto"
    r"|conda-env\s+remove|(?:conda|mamba|micromamba)\s+env\s+create[^;&|\n]*\s(?:--force|--yes|-y)|mount\s+-)"
    r"|\s--remove-files(?!\S)"
)
_ELSEWHERE_WORDS = (  # each such command contains one of these words, which is cheaper to check
    *("userdel", "deluser", "clean", "zip", "rsync", "poetry", "pipenv", "uninstall", "apt-mark"),
    *("conda-env", "create", "mount", "--remove-files"),
)
# Removals in every second line that never contain torch: apt's lists, and caches.
_HARMLESS = re.compile(
    r"rm\s(?:-[a-zA-Z]+\s)*(?:(?:/var/(?:lib/apt|lib/dpkg|cache|log|tmp)|/tmp|(?:/root|~|\$HOME)/\.(?:cache|npm|cargo))"
    r"(?:/[\w.*-]*)*\s*)+(?=[;&|)\n#]|\Z)"
    r"|apt(?:-get)?\s(?:-[\w=]+\s)*(?:auto)?remove(?:\s-[\w-]+)*\s*(?=[;&|)\n#]|\Z)"
)
_INSTALLS = re.compile(r"(?<![\w-])(?:install|add|create)(?!\w)[^&|;\n]*+")
_TOOL = re.compile(r"/(pip[23]?|uv|conda|mamba)(?=[\s;&|]|\Z)")
_PUTS = re.compile(
    r"(?<![\w/-])(?:ln|cp|mv)\s+(?:-\S{1,20}\s+)*+(?!-)\S{0,80}?(\w[\w.-]{0,40})\s+\S{0,80}\Z|>\s*/\S{0,80}\Z"
)
_LINK = re.compile(r"\bln\s+-\w*s\w*\s+(/[^\s;&|]{1,100})\s+(/[^\s;&|]{1,100})")
_LINKING = re.compile(r"(?<![\w./-])ln\s[^;&|\n]*+")  # it names the same folders, but removes none
# A `RUN --mount` may exist at these folders, which no history shows. Files in a mount are gone after the line.
_MOUNTED = ("/tmp", "/var/tmp", "/run")  # noqa: S108
_CONFIGURES = re.compile(
    r"pip[0-9.]{0,4}\s+config\s[^;&|]{0,80}\.(?:target|prefix|root|user|dry-run|no-deps)"
    r"|(?:COPY|ADD|printf|echo|cat)\b.{0,2000}(?<![\w-])pip\.conf|PIP_CONFIG_FILE",
    re.DOTALL,
)
_KEPT = 1_000  # characters of a line whose traits are cached
_MOST_WORDS = 100  # words that are examined of a line that cannot be parsed


@dataclass(frozen=True, slots=True)
class TorchInstalls:
    """What a build history shows about torch."""

    torch: str = ""  # the command that certainly installed it: "pip install torch==2.9.0"; "" if there is none
    version: str | None = None  # the version that was installed last, or the one in a build argument
    accelerator: str | None = None  # the accelerator in the address of the wheel index
    hints: tuple[str, ...] = ()  # weaker signs, at most one of each kind
    is_whole: bool = True  # False if a line was left out because it is too long or takes too many steps
    doubts: tuple[str, ...] = ()  # uncertain signs: the command may not have run, or its torch may have been removed
    is_removed: bool = False  # torch was removed, or may have been, and was not certainly installed again
    is_gone: bool = False  # torch was certainly removed, and no later command may have installed it


def scan(history: Iterable[model.HistoryStep], env: Mapping[str, str] | None = None) -> TorchInstalls:
    """Follow all commands of a build. `env` is the image's ENV; it contains the variables that the base image set."""
    lines = tuple(line.created_by for line in history)
    reader = _Reader(env or {}, lines)
    for line in lines:
        traits = _traits_kept(line) if len(line) <= _KEPT else _traits(line)
        if traits is not None:
            reader.add(line, traits)
    return reader.result()


def is_read(line: str) -> bool:
    """Whether a history line may install torch. Nearly no line does, and this check is cheap."""
    if "torch" in line or "torch" in line.lower() or "ptca" in line:
        return True
    return ("pip" in line or "uv " in line or " add " in line) and packages.names_one(line)


class _Traits(NamedTuple):
    """Properties of a line that do not require parsing it as a program."""

    is_read: bool  # it may install torch
    is_setting: bool  # ENV, WORKDIR, ARG and others, which affect later lines
    removes: bool  # it removes something, possibly only a cache
    may_remove: bool  # it may remove torch
    puts_another_tool: bool  # it may replace an installer by another program
    configures: bool  # it configures pip, which may then install packages into any folder
    other_paths: frozenset[str]  # other names by which a removal may reach a folder


def _traits(line: str) -> _Traits | None:
    """None for a line without effect on torch, as nearly all are."""
    removes = _REMOVAL.search(line) is not None or _removes_elsewhere(line)
    traits = _Traits(
        is_read(line),
        run_lines.is_setting(line),
        removes,
        removes and (_REMOVAL.search(_HARMLESS.sub("", line)) is not None or _removes_elsewhere(line)),
        _puts_another_tool(line),
        "pip" in line and _CONFIGURES.search(line) is not None,
        other_paths.names(line),
    )
    return traits if any(traits) else None


_traits_kept = lru_cache(maxsize=2048)(_traits)  # images share the lines of their base


class _Reader:
    """Collects what the lines of one history show about torch."""

    def __init__(self, env: Mapping[str, str], lines: Iterable[str]) -> None:
        self._facts = NOTHING
        self._arguments: dict[str, str] = {}  # build arguments that name torch
        self._indexes: dict[str, str] = {}  # build arguments that contain the address of PyTorch's own wheels
        self._followed: set[str] = set()  # the names of those whose effect is known, because their line was followed
        self._is_whole = True
        self._linked: set[str] = set()  # folders that may have another name
        self._named: frozenset[str] = frozenset()  # names by which a removal may reach such a folder
        self._is_configured = False  # pip may install packages into any folder
        self._is_faked = False  # another program may have the name of an installer
        self._runner: Runner | None = None
        self._variables = run_lines.Variables(env, lines)

    def add(self, created_by: str, traits: "_Traits") -> None:
        """Add the effect of the next line."""
        self._is_configured = self._is_configured or traits.configures
        self._is_faked = self._is_faked or (traits.configures and "dry-run" in created_by)
        self._is_faked = self._is_faked or traits.puts_another_tool
        if traits.other_paths:
            self._named |= other_paths.resolved(traits.other_paths, self._variables.get)
            self._linked |= {path for match in _LINK.finditer(created_by) for path in match.groups() if path != "/"}
        if traits.is_setting and self._variables.apply(created_by):
            return
        if traits.is_read or (self._facts is not NOTHING and self._may_remove(traits)):
            self._read(created_by)

    def _may_remove(self, traits: "_Traits") -> bool:
        return traits.may_remove or (traits.removes and any(one.place for one in self._facts.placed))

    def _read(self, created_by: str) -> None:
        line = run_lines.parse(created_by)
        self._take_arguments(line.arguments)
        if line.program:
            self._facts = self._follow(line)

    def _take_arguments(self, arguments: Mapping[str, str]) -> None:
        for name in sorted(_ARGUMENTS & arguments.keys()):
            if (value := arguments[name]) and is_known(value):
                self._arguments[name] = value
        for name, value in arguments.items():
            if INDEX in value:
                self._indexes[name] = INDEX

    def _follow(self, line: RunLine) -> Facts:
        """The facts after the line's program has run."""
        before = self._facts
        state = State(
            before,
            folder=self._variables.folder,
            is_strict=line.is_strict,
            is_open=not line.is_complete,
            is_bash=line.is_bash,
            is_piped_strictly=line.is_piped_strictly,
        )
        try:
            self._runner = self._runner or Runner()
            after = self._runner.run(line.program, state, self._values_of(line))
        except TooLongError:
            self._is_whole = False
            return _unread(line.program, before)
        except UnreadableError:
            return _unread(line.program, before)
        if _removes_elsewhere(line.program):
            after = after.in_doubt()
        if self._is_configured and _REMOVAL.search(line.program):
            after = after.without(lambda one: None if one.text.startswith("pip") else False)
        after = self._by_other_paths(line.program, after)
        if after.placed and not line.is_buildkits and (volumes := self._variables.volumes):
            after = after.without(lambda one: None if one.place and _is_below(one.place, volumes) else False)
        if line.is_buildkits:
            known = before.placed
            after = after.without(lambda one: None if one not in known and _is_below(one.place, _MOUNTED) else False)
        if not after.installs:
            named = "".join(_INSTALLS.findall(line.program))
            self._followed |= {name for name in (*self._arguments, *self._indexes) if name in named}
        is_sure = (
            self._variables.is_clear(line) and not self._is_faked and (line.is_bash or "&>" not in line.program)
        )  # dash does not support `&>`: it reads `&`
        return after if is_sure else join(before, after)

    def _by_other_paths(self, program: str, after: Facts) -> Facts:
        """The facts, given that a removal may have reached a folder through a link."""
        if not (self._linked or self._named) or not _REMOVAL.search(rest := _HARMLESS.sub("", program)):
            return after
        removal = _LINKING.sub("", rest)
        if other_paths.is_named(self._named, removal):
            return after.in_doubt()
        linked = tuple(self._linked)
        return after.without(lambda one: None if one.place and _is_below(one.place, linked) else False)

    def _values_of(self, line: RunLine) -> Callable[[str], str | None]:
        variables, arguments = self._variables, line.arguments

        def value(name: str) -> str | None:
            if name == "~":
                return variables.home
            argued, known = arguments.get(name), variables.get(name)
            if argued is None:
                return known if known is not None or not variables.may_be_argued(name, line) else unknown(f"${name}")
            return argued if known in (None, argued) else unknown(f"${name}")

        return value

    def result(self) -> TorchInstalls:
        """What the lines up to now show."""
        facts = self._facts
        hints, argued = dict(facts.hints), None
        if not facts.is_removed:
            indexes = [text for name, text in self._indexes.items() if name not in self._followed]
            hints |= {"index": indexes[0]} if indexes and "index" not in hints else {}
            for name, value in self._arguments.items():
                if name not in self._followed:
                    version = _argued_version(value)
                    # A value that is not a version may be an address with a password in it.
                    hints["argument"] = f"build argument {name}" + (f"={version}" if version else "")
                    argued = version or argued
        texts = [one.text for one in facts.installs]
        sure = next((one.text for one in reversed(facts.installs) if one.is_sure), texts[-1] if texts else "")
        doubts = () if facts.is_sure else (*(f"perhaps {text}" for text in texts), *facts.doubts.values())
        return TorchInstalls(
            torch=sure if facts.is_sure else "",
            version=facts.version or argued,
            accelerator=facts.accelerator,
            hints=tuple(dict.fromkeys(hints.values())),
            is_whole=self._is_whole,
            doubts=tuple(dict.fromkeys(doubts)),
            is_removed=facts.is_removed and not facts.is_sure,
            is_gone=facts.is_removed and not facts.installs,
        )


def _removes_elsewhere(line: str) -> bool:
    return any(word in line for word in _ELSEWHERE_WORDS) and _ELSEWHERE.search(line) is not None


def _puts_another_tool(line: str) -> bool:
    """Whether a line replaces an installer by another program: `ln -s /bin/true /usr/bin/pip`.

    `ln -s /usr/bin/pip3 /usr/bin/pip` does not: that is the same tool.
    """
    if not ("/pip" in line or "/uv" in line or "/conda" in line or "/mamba" in line):
        return False
    for tool in _TOOL.finditer(line):
        put = _PUTS.search(line[max(0, tool.start() - 200) : tool.start()])
        if put is not None and not (put[1] or "").startswith(tool[1][:3]):
            return True
    return False


def _is_below(place: str, folders: Iterable[str]) -> bool:
    return any(f"{place}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _unread(program: str, before: Facts) -> Facts:
    """The facts after a line that cannot be followed: it may have installed torch, or removed it."""
    words = [word.strip("\"'()`;&|") for word in program[:10_000].split()[:_MOST_WORDS]]
    text = may_install(["?", *words])
    after = before.with_install(text, "", None, None) if text else before
    after = after if after is before else join(before, after)
    return after.doubtful() if _REMOVAL.search(program) else after


def _argued_version(value: str) -> str | None:
    """The version in a build argument: `2.6.0`, or `torch==2.1.0 torchvision`."""
    if pin := re.match(r"(?:py)?torch={1,3}(\S{1,60})", value):
        return plain_version(pin[1])
    return plain_version(value)
