"""Two examples for each command, which its `--help` shows: what to type after `torchkeeper`, and what that does."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("plan --at 15d", "Show what would be removed in 15 days, if nothing is used until then."),
        ("explain team/pytorch:2.9", "Show why this image is kept or removed, and how to change that."),
    ),
    "plan": (
        ("plan --at 15d", "Show what would be removed in 15 days, if nothing is used until then."),
        ("plan --ttl 7d --evict", "Show only what a TTL of 7 days would remove."),
    ),
    "explain": (
        ("explain team/pytorch:2.9", "Show why this image is kept or removed, and how to change that."),
        ("explain 59a6465d493c --json", "Print everything about the image with this ID as JSON."),
    ),
    "pin": (
        ("pin team/pytorch:2.9", "Keep this image until it is unpinned."),
        ('pin team/pytorch:2.9 --for 30d --reason "for the paper"', "Keep it for 30 days, and say why."),
    ),
    "unpin": (
        ("unpin team/pytorch:2.9", "End the pin of this image."),
        ("unpin 59a6465d493c", "End the pin of the image with this ID."),
    ),
    "pins": (
        ("pins", "List what is pinned, by whom, until when and why."),
        ("pins --json", "Print the list as JSON."),
    ),
    "images": (
        ("images --sort size", "List the images, the largest first."),
        ("images --quiet | grep torch", "List the names alone, one on each line."),
    ),
    "history": (
        ("history --since 7d", "Show the evictions of the last 7 days, and how to undo each one."),
        ("history --verbose", "Show each decision and each outcome, with gaps and other events."),
    ),
    "restore": (
        ("restore team/pytorch:2.9", "Pull this evicted image again, and give it back its tags."),
        ("history --since 7d", "List the images that can be restored."),
    ),
    "pause": (
        ("pause --for 12h", "Remove nothing for the next 12 hours."),
        ('pause --reason "a deadline"', "Remove nothing until somebody types `torchkeeper resume`."),
    ),
    "resume": (
        ("resume", "End the pause: what is due is removed again."),
        ("resume && torchkeeper plan", "End the pause, and show what will be removed now."),
    ),
    "sweep": (
        ("sweep --dry-run", "Show what a sweep would remove now, and remove nothing."),
        ("sweep --json", "Remove what is due, and print the outcomes as JSON."),
    ),
    "lint": (
        ("lint", "List the names that mislead, each with a proposal."),
        ("lint --json", "Print them as JSON."),
    ),
    "check": (
        ("check", "Check configuration, engine, broker and state; say how to fix faults."),
        ("check --config ./torchkeeper.toml", "Check a configuration before it is installed."),
    ),
    "run": (
        ("run --observe", "Decide and report, and remove nothing. Begin with this."),
        ("run --config ./torchkeeper.toml", "Run with this configuration."),
    ),
    "config": (
        ("config > torchkeeper.toml", "Write the commented default configuration to a file."),
        ("config --effective", "Show the settings in force, each with its source."),
    ),
    "demo": (
        ("demo", "Show all of it on a private engine, in about a minute."),
        ("demo --page", "Show it, then keep the monitor's page running until Ctrl-C."),
    ),
    "monitor": (
        ("monitor", "Serve the fleet's page on http://127.0.0.1:9478."),
        ("monitor --listen 127.0.0.1:8080", "Serve it on another port."),
    ),
    "fleet": (
        ("fleet status", "Show every host that reports, the worst first."),
        ("fleet images --json", "Print the PyTorch images of all hosts as JSON."),
    ),
    "fleet status": (
        ("fleet status", "Show every host that reports, the worst first."),
        ("fleet status --watch", "Show them until Ctrl-C, as they change."),
    ),
    "fleet decisions": (
        ("fleet decisions --since 1d", "Show what was decided on all hosts in the last day."),
        ("fleet decisions --host gpu-07", "Show what was decided on one host."),
    ),
    "fleet images": (
        ("fleet images", "Show the PyTorch images of all hosts."),
        ("fleet images --json", "Print them as JSON."),
    ),
    "fleet what-if": (
        ("fleet what-if --ttl 7d", "Show what a TTL of 7 days would remove on all hosts."),
        ("fleet what-if --ttl 7d --json", "Print it as JSON."),
    ),
}
