"""What is left of torch after a command that removes something."""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent.core.pytorch.facts import Facts, Install, join
from agent.core.pytorch.shell import places, torch_words
from agent.core.pytorch.shell.installers import (
    CONDAS,
    ONLY_SHOWN,
    REMOVALS,
    Installer,
    Ran,
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
# Names of programs that take packages away.
_TELLING = re.compile(
    r"^pip-?tools$|^pip-sync$|auto[_-]?remove|(?:uninstall|remove|clean|slim|strip|prune)\w*\.(?:sh|py)$"
)
_ENVIRONMENT = re.compile(r"(?<![a-z])v?env/*$|/\.?(?:virtual)?envs?(?:/|$)")
_OF_ROOT_ALONE = ("/root/.local", "/root/.cache")
_RUNS_RM = re.compile(r"(?<![\w-])(?:rm|mv)(?!\w)")
REMOVERS = frozenset({"rm", "rmdir", "unlink", "mv", "find"})


def after_uninstall(found: Installer, facts: Facts) -> Facts:
    if not ONLY_SHOWN.isdisjoint(found.arguments):
        return facts
    if found.tool in CONDAS and ("--all" in found.arguments or found.verb == "remove"):
        name = places.option(found.arguments, "-n", "--name", "-p", "--prefix")
        if name and ("--all" in found.arguments or not list(packages(found))):
            return facts.without(lambda one: places.is_environment(one.place, name))
    words = tuple(packages(found))
    if found.tool.startswith("apt"):
        return without_apts(words, facts)
    if found.tool in CONDAS and any(_NEEDED_BY_CONDAS_TORCH.search(word) for word in words):
        facts = facts.without(lambda one: None if one.text.partition(" ")[0] in CONDAS else False)
    if any(torch_words.TORCH.match(word) for word in words):
        if not facts.installs:
            return _removed(facts)
        return facts.without(lambda one: _is_uninstalled(one, found))
    if any(not is_known(word) for word in words) or places.option(found.arguments, "-r", "--requirement"):
        return facts.in_doubt()
    return facts


def without_apts(words: Sequence[str], facts: Facts) -> Facts:
    """Without what apt installed: python3-torch goes with Python, and a pattern may mean anything."""
    if any(_is_apts_torch(word) for word in words) and not facts.installs:
        return _removed(facts)
    if any(_is_apts_torch(word) for word in words):
        return facts.without(lambda one: one.text.startswith("apt"))
    is_meant = any(not is_known(word) or _NEEDED_BY_APTS_TORCH.search(word) for word in words)
    return facts.without(lambda one: None if is_meant and one.text.startswith("apt") else False)


def _is_apts_torch(word: str) -> bool:
    return torch_words.TORCH.fullmatch(word.removesuffix("-")) is not None


def before_install(found: Installer, facts: Facts) -> Facts:
    """What is left before an installation that takes something away, too."""
    arguments = {*found.arguments}
    if found.tool in CONDAS and {"--revision", "--rev", "--prune"} & arguments:
        return facts.without(lambda one: None if one.text.partition(" ")[0] in CONDAS else False)
    if found.tool in CONDAS and found.verb == "create":  # `-y` empties an environment of this name
        return facts.without(lambda one: None if found.place and one.place == found.place else False)
    if found.tool.startswith("apt"):
        return without_apts([word for word in found.arguments if word.endswith("-")], facts)
    is_sync = found.verb == "sync" or "--sync" in arguments or (found.tool, found.verb) == ("pipenv", "clean")
    if not is_sync or {"--inexact", "--dry-run"} & arguments:
        return facts
    # It takes away what the project does not name.
    return facts.without(lambda one: None if one.place == found.place else False)


def after_script(words: Sequence[str], facts: Facts) -> Facts:
    """What a script may take away, by its name: `pip-autoremove torch`, `/opt/slim.sh`, `pip-sync`."""
    names = (word.rpartition("/")[2] for word in words[:4])
    return facts.in_doubt() if any(_TELLING.search(name) for name in names) else facts


def _is_uninstalled(one: Install, found: Installer) -> bool | None:
    """Whether an installer takes away what another command installed; in doubt it may."""
    is_apts, was_apts = (tool.startswith("apt") for tool in (found.tool, one.text))
    if is_apts != was_apts:
        return False if is_apts else None
    if not one.place and found.is_path_told and found.place.startswith("/") and is_known(found.place):
        return False  # `/opt/venv/bin/pip uninstall` leaves the system's
    was_condas = one.text.partition(" ")[0] in CONDAS
    return True if one.place == found.place and was_condas == (found.tool in CONDAS) else None


def _removed(facts: Facts) -> Facts:
    return Facts(hints={}, doubts=facts.doubts, is_removed=True)


def perhaps(ran: Ran, facts: Facts) -> Facts:
    """What is left of torch after an unknown command, which may run what it is told (`retry pip uninstall x`)."""
    words = list(ran.words[:30])
    told = [words[at:] for at in range(1, len(words))]
    if not is_known(words[0]):
        told += [["pip", *words[1:]], ["rm", *words[1:]]]
    for rest in told:
        found = _after(replace(ran, words=rest), facts)
        facts = join(facts, found) if found.is_removed else facts
    is_told = any(_REMOVAL.search(word) and _OF_PYTHON.search(word) for word in words[1:] if len(word) < 2_000)
    return facts.in_doubt() if is_told else after_script(words, facts)


def _after(ran: Ran, facts: Facts) -> Facts:
    name = ran.words[0].rpartition("/")[2]
    if name in REMOVERS:
        return after_removal(name, ran, facts)
    found = installer_of(ran)
    return after_uninstall(found, facts) if found is not None and found.verb in REMOVALS else facts


def after_xargs(ran: Ran, facts: Facts) -> Facts:
    words = list(ran.words)
    if any(word in REMOVALS for word in words) and any(is_installer(word) for word in words):
        return facts.in_doubt()
    if any(_RUNS_RM.search(word) for word in words):
        return facts.in_doubt()  # what it reads may name any folder
    text = may_install(words)
    return join(facts, facts.with_install(text, "", None, None)) if text else facts


def without_cleared(ran: Ran, facts: Facts) -> Facts:
    """`python -m venv --clear FOLDER` begins the folder anew, and so may `uv venv`."""
    if tuple(ran.words[:2]) == ("uv", "venv") and "--allow-existing" not in ran.words:
        given = next(packages(Installer("uv", "venv", tuple(ran.words[2:]), "")), ".venv")
        renewed = places.absolute(given, ran.folder)
        return facts.without(lambda one: None if one.place == renewed else False)
    if "--clear" not in ran.words or not any(
        word.rpartition("/")[2] in ("venv", "virtualenv") for word in ran.words[:4]
    ):
        return facts
    cleared = places.absolute(ran.words[-1], ran.folder)
    return facts.without(lambda one: one.place == cleared)


def after_removal(name: str, ran: Ran, facts: Facts) -> Facts:
    if not facts.placed:
        return facts
    if name == "find":
        return _after_find(ran.words, facts)
    words = [word for word in ran.words[1:] if not word.startswith("-")]
    words = [part for word in words for part in places.braces(word)]
    gone = [
        places.absolute(word, ran.folder, places.home(ran.look_up)) for word in (words[:-1] if name == "mv" else words)
    ]

    def is_gone(one: Install) -> bool | None:
        # Root's pip does not install for root alone, but where it is told to.
        is_roots = not one.place and one.text.startswith("pip") and not one.text.startswith("pipx")
        answers = [places.covers(path, one.place) for path in gone if not (is_roots and path in _OF_ROOT_ALONE)]
        if name == "mv" and True in answers:  # it is still there, under another name
            return None
        if True in answers:
            return True
        # The Python that is found first may be that of an environment, by a shell's own settings.
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
