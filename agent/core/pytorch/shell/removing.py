"""The effect on torch of a command that removes something."""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent.core.pytorch.shell import places, torch_words
from agent.core.pytorch.shell.facts import Facts, Install, join
from agent.core.pytorch.shell.installers import (
    CONDAS,
    ONLY_SHOWN,
    REMOVALS,
    Installer,
    RanCommand,
    installer_of,
    is_installer,
    packages,
)
from agent.core.pytorch.shell.installing import may_install
from agent.core.pytorch.shell.unknown import is_known

_REMOVAL = re.compile(r"(?<![\w-])(?:uninstall|remove|purge|rm|rmtree|unlink)(?!\w)")
_OF_PYTHON = re.compile(r"torch|-packages|lib/python|venv|conda|rmtree")
_NEEDED_BY_APTS_TORCH = re.compile(r"^(?:lib)?(?:python|torch)|[*?~\[]")
_NEEDED_BY_CONDAS_TORCH = re.compile(r"^(?:python|libtorch|pytorch-mutex|numpy|cudatoolkit)(?![\w-])|[*?\[]")
# Names of programs that remove packages.
_REMOVING_NAME = re.compile(
    r"^pip-?tools$|^pip-sync$|auto[_-]?remove|(?:uninstall|remove|clean|slim|strip|prune)\w*\.(?:sh|py)$"
)
_ENVIRONMENT = re.compile(r"(?<![a-z])v?env/*$|/\.?(?:virtual)?envs?(?:/|$)")
_OF_ROOT_ONLY = ("/root/.local", "/root/.cache")
_RUNS_RM = re.compile(r"(?<![\w-])(?:rm|mv)(?!\w)")
REMOVERS = frozenset({"rm", "rmdir", "unlink", "mv", "find"})


def after_uninstall(installer: Installer, facts: Facts) -> Facts:
    """The facts after an installer has removed packages."""
    if not ONLY_SHOWN.isdisjoint(installer.arguments):
        return facts
    if installer.tool in CONDAS and ("--all" in installer.arguments or installer.verb == "remove"):
        name = places.option(installer.arguments, "-n", "--name", "-p", "--prefix")
        if name and ("--all" in installer.arguments or not list(packages(installer))):
            return facts.without(lambda one: places.is_environment(one.place, name))
    words = tuple(packages(installer))
    if installer.tool.startswith("apt"):
        return without_apts(words, facts)
    if installer.tool in CONDAS and any(_NEEDED_BY_CONDAS_TORCH.search(word) for word in words):
        facts = facts.without(lambda one: None if one.text.partition(" ")[0] in CONDAS else False)
    if any(torch_words.TORCH.match(word) for word in words):
        if not facts.installs:
            return _removed(facts)
        return facts.without(lambda one: _is_uninstalled(one, installer))
    if any(not is_known(word) for word in words) or places.option(installer.arguments, "-r", "--requirement"):
        return facts.in_doubt()
    return facts


def without_apts(words: Sequence[str], facts: Facts) -> Facts:
    """The facts after apt has removed these packages. Removing Python removes python3-torch; a pattern may match it."""
    if any(_is_apts_torch(word) for word in words) and not facts.installs:
        return _removed(facts)
    if any(_is_apts_torch(word) for word in words):
        return facts.without(lambda one: one.text.startswith("apt"))
    may_match = any(not is_known(word) or _NEEDED_BY_APTS_TORCH.search(word) for word in words)
    return facts.without(lambda one: None if may_match and one.text.startswith("apt") else False)


def _is_apts_torch(word: str) -> bool:
    return torch_words.TORCH.fullmatch(word.removesuffix("-")) is not None


def before_install(installer: Installer, facts: Facts) -> Facts:
    """The facts before an installation, given that its command may first remove packages."""
    arguments = {*installer.arguments}
    if installer.tool in CONDAS and {"--revision", "--rev", "--prune"} & arguments:
        return facts.without(lambda one: None if one.text.partition(" ")[0] in CONDAS else False)
    if installer.tool in CONDAS and installer.verb == "create":  # `-y` empties an environment of this name
        return facts.without(lambda one: None if installer.place and one.place == installer.place else False)
    if installer.tool.startswith("apt"):
        return without_apts([word for word in installer.arguments if word.endswith("-")], facts)
    is_sync = (
        installer.verb == "sync" or "--sync" in arguments or (installer.tool, installer.verb) == ("pipenv", "clean")
    )
    if not is_sync or {"--inexact", "--dry-run"} & arguments:
        return facts
    # It removes packages that the project does not list.
    return facts.without(lambda one: None if one.place == installer.place else False)


def after_script(words: Sequence[str], facts: Facts) -> Facts:
    """The facts after a script whose name shows that it may remove packages: `pip-autoremove`, `/opt/slim.sh`."""
    names = (word.rpartition("/")[2] for word in words[:4])
    return facts.in_doubt() if any(_REMOVING_NAME.search(name) for name in names) else facts


def _is_uninstalled(one: Install, installer: Installer) -> bool | None:
    """Whether an installer's uninstall removes the torch of another command; None if it is unknown."""
    is_apts, was_apts = (tool.startswith("apt") for tool in (installer.tool, one.text))
    if is_apts != was_apts:
        return False if is_apts else None
    if not one.place and installer.is_path_known and installer.place.startswith("/") and is_known(installer.place):
        return False  # `/opt/venv/bin/pip uninstall` does not remove the system's torch
    was_condas = one.text.partition(" ")[0] in CONDAS
    return True if one.place == installer.place and was_condas == (installer.tool in CONDAS) else None


def _removed(facts: Facts) -> Facts:
    return Facts(hints={}, doubts=facts.doubts, is_removed=True)


def after_unknown_command(command: RanCommand, facts: Facts) -> Facts:
    """The facts after an unknown command, which may run its arguments (`retry pip uninstall torch`)."""
    words = list(command.words[:30])
    possible = [words[at:] for at in range(1, len(words))]
    if not is_known(words[0]):
        possible += [["pip", *words[1:]], ["rm", *words[1:]]]
    for rest in possible:
        after = _after(replace(command, words=rest), facts)
        facts = join(facts, after) if after.is_removed else facts
    may_remove = any(_REMOVAL.search(word) and _OF_PYTHON.search(word) for word in words[1:] if len(word) < 2_000)
    return facts.in_doubt() if may_remove else after_script(words, facts)


def _after(command: RanCommand, facts: Facts) -> Facts:
    name = command.words[0].rpartition("/")[2]
    if name in REMOVERS:
        return after_removal(name, command, facts)
    installer = installer_of(command)
    return after_uninstall(installer, facts) if installer is not None and installer.verb in REMOVALS else facts


def after_xargs(command: RanCommand, facts: Facts) -> Facts:
    """The facts after `xargs`, whose input is unknown."""
    words = list(command.words)
    if any(word in REMOVALS for word in words) and any(is_installer(word) for word in words):
        return facts.in_doubt()
    if any(_RUNS_RM.search(word) for word in words):
        return facts.in_doubt()  # its input may name any folder
    text = may_install(words)
    return join(facts, facts.with_install(text, "", None, None)) if text else facts


def without_cleared(command: RanCommand, facts: Facts) -> Facts:
    """The facts after `python -m venv --clear FOLDER`, which empties the folder, or `uv venv`, which may empty it."""
    if tuple(command.words[:2]) == ("uv", "venv") and "--allow-existing" not in command.words:
        given = next(packages(Installer("uv", "venv", tuple(command.words[2:]), "")), ".venv")
        renewed = places.absolute(given, command.folder)
        return facts.without(lambda one: None if one.place == renewed else False)
    if "--clear" not in command.words or not any(
        word.rpartition("/")[2] in ("venv", "virtualenv") for word in command.words[:4]
    ):
        return facts
    cleared = places.absolute(command.words[-1], command.folder)
    return facts.without(lambda one: one.place == cleared)


def after_removal(name: str, command: RanCommand, facts: Facts) -> Facts:
    """The facts after a command in REMOVERS."""
    if not facts.placed:
        return facts
    if name == "find":
        return _after_find(command.words, facts)
    words = [word for word in command.words[1:] if not word.startswith("-")]
    words = [part for word in words for part in places.braces(word)]
    gone = [
        places.absolute(word, command.folder, places.home(command.look_up))
        for word in (words[:-1] if name == "mv" else words)
    ]

    def is_gone(one: Install) -> bool | None:
        # root's pip installs for all users, unless an option says otherwise.
        is_roots = not one.place and one.text.startswith("pip") and not one.text.startswith("pipx")
        answers = [places.covers(path, one.place) for path in gone if not (is_roots and path in _OF_ROOT_ONLY)]
        if name == "mv" and True in answers:  # torch is still there, under another path
            return None
        if True in answers:
            return True
        # The Python that is first in PATH may be in an environment that the shell's settings select.
        is_environment = not one.place and any(_ENVIRONMENT.search(path) for path in gone)
        return None if None in answers or is_environment else False

    return facts.without(is_gone)


def _after_find(words: Sequence[str], facts: Facts) -> Facts:
    deletes = "-delete" in words or any(_RUNS_RM.search(word) for word in words)
    if not deletes:
        return facts
    tests = [(words[at], words[at + 1].lower()) for at in range(len(words) - 1)]
    named = [pattern for test, pattern in tests if test in ("-name", "-iname", "-path", "-ipath")]
    expressions = [pattern for test, pattern in tests if test in ("-regex", "-iregex")]
    if any(word in pattern for pattern in expressions for word in ("torch", "packages", "python")):
        return facts.in_doubt()
    return facts.without(
        lambda one: (
            None
            if not (named or expressions) or any(places.names_torch(pattern, one.place) for pattern in named)
            else False
        )
    )
