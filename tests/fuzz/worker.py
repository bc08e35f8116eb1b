"""One target under the fuzzer, in a process of its own: `python -m tests.fuzz.worker TARGET LIBFUZZER-OPTIONS...`."""

import sys

import atheris


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["agent"]):
        from tests.fuzz import targets
    atheris.Setup(sys.argv, targets.TARGETS[name].enter)
    atheris.Fuzz()


main()
