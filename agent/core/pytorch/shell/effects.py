"""The effect on torch of one command that ran: it may install or remove torch."""

from agent.core.pytorch.shell import installers, installing, removing
from agent.core.pytorch.shell.facts import Facts
from agent.core.pytorch.shell.installers import PYTHON, RanCommand, is_installer

_READ_ONLY_VERBS = frozenset({"show", "check", "list", "freeze", "search", "info", "index", "help", "debug"})
_DPKG_REMOVALS = frozenset({"-r", "-P", "--remove", "--purge", "remove", "purge"})


def matters(word: str) -> bool:
    """Whether a command with this name may install or remove anything."""
    name = word.rpartition("/")[2]
    if is_installer(word) or PYTHON.fullmatch(name) is not None:
        return True
    return name in removing.REMOVERS or name in ("xargs", "virtualenv", "dpkg", "aptitude")


def after(command: RanCommand, facts: Facts) -> tuple[Facts, bool]:
    """The facts after the command has succeeded; and whether people would have noticed its failure."""
    name = command.words[0].rpartition("/")[2]
    if name in removing.REMOVERS:
        return removing.after_removal(name, command, facts), True
    if name in ("dpkg", "aptitude"):
        removes = any(word in _DPKG_REMOVALS for word in command.words)
        return removing.without_apts(command.words[1:], facts) if removes else facts, True
    if name == "xargs":
        return removing.after_xargs(command, facts), False
    facts = removing.without_cleared(command, facts)
    installer = installers.installer_of(command)
    if installer is None:
        return facts, False
    if installer.verb in installers.REMOVALS:
        return removing.after_uninstall(installer, facts), True
    facts = removing.before_install(installer, facts)
    if installer.verb in installers.VERBS:
        return installing.after_install(installer, command, facts), True
    return facts, installer.verb not in _READ_ONLY_VERBS
