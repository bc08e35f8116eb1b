"""A command loads what it needs when it runs: `torchkeeper --help` answers at once."""

import subprocess
import sys

SLOW = ("aiodocker", "aiohttp", "aiomqtt", "paho", "rich.table", "tenacity")


def loaded_by(statement: str) -> set[str]:
    """Which of the slow packages a fresh interpreter has loaded after a statement."""
    program = f"import sys; {statement}; print(*(name for name in {SLOW!r} if name in sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_command_line_loads_neither_an_engine_nor_a_broker_nor_tables() -> None:
    assert loaded_by("import agent.cli") == set()


def test_an_agent_without_a_broker_does_not_load_mqtt() -> None:
    assert loaded_by("import agent.daemon.run") & {"aiomqtt", "paho"} == set()


def test_ctrl_c_ends_a_command_quietly_even_while_its_libraries_are_loaded() -> None:
    program = """
import sys
from importlib.abc import MetaPathFinder

class CtrlC(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "agent.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
from agent.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
