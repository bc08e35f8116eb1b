"""Scripts and heredocs: text that is written, and text that is run."""

from tests.built_images.case import BUILDKIT, Case, Shows, build, run

_NEW = (BUILDKIT,)  # heredocs


def _heredoc(*lines: str, shows: Shows = Shows.SURELY) -> Case:
    return build("\n".join(lines), shows=shows, builders=_NEW)


CASES = {
    "by echo": run("echo 'pip install torch' > /install.sh && chmod +x /install.sh"),
    "by echo, and run": run("echo 'pip install torch' > /install.sh && sh /install.sh", shows=Shows.PERHAPS),
    "by echo, and run in a later line": run(
        "echo 'pip install torch' > /install.sh", "sh /install.sh", shows=Shows.PERHAPS
    ),
    "by printf": run(r"printf '#!/bin/sh\npip install torch\n' > /start.sh"),
    "by printf, and run": run(
        r"printf '#!/bin/sh\npip install torch\n' > /start.sh && chmod +x /start.sh && /start.sh", shows=Shows.PERHAPS
    ),
    "by echo -e": run(r'bash -c "echo -e \"#!/bin/sh\npip install torch\" > /start.sh"'),
    "by a group": run("{ echo '#!/bin/sh'; echo 'pip install torch'; } > /start.sh"),
    "by tee": run("echo 'pip install torch' | tee /start.sh"),
    "by sed": run("sed 's/x/pip install torch/' /etc/passwd > /start.sh"),
    "a list of requirements": run("echo torch > /requirements.txt"),
    "a list of requirements, and used": run(
        "echo torch > /requirements.txt && pip install -r /requirements.txt", shows=Shows.PERHAPS
    ),
    "a list without it": run("echo numpy > /torch.txt && pip install -r /torch.txt"),
    "into a shell": run("echo 'pip install torch' | sh", shows=Shows.PERHAPS),
    "by COPY, and run": build("COPY script.sh /install.sh", "RUN sh /install.sh torch", shows=Shows.NOT),
    "by COPY": build("COPY script.sh /install-torch.sh"),
    "heredoc that is run": _heredoc("RUN <<EOF", "pip install torch", "EOF"),
    "heredoc in quotes that is run": _heredoc('RUN <<"END"', "set -e", "apt-get update", "pip install torch", "END"),
    "heredoc with tabs that is run": _heredoc("RUN <<-EOF", "\tset -eux", "\tpip install torch", "EOF"),
    "heredoc with a branch not taken": _heredoc(
        "RUN <<EOF", "set -e", 'if [ "$WITH" = yes ]; then', "  pip install torch", "fi", "EOF"
    ),
    "heredoc with a branch taken": _heredoc(
        "ARG WITH=yes", "RUN <<EOF", "set -e", 'if [ "$WITH" = yes ]; then', "  pip install torch", "fi", "EOF"
    ),
    "heredoc that ends before": _heredoc("RUN <<EOF", "exit 0", "pip install torch", "EOF"),
    "heredoc with a comment": _heredoc("RUN <<EOF", "echo ready", "# pip install torch", "EOF"),
    "heredoc with an alias": _heredoc("RUN <<EOF", "alias pip=true", "pip install torch", "EOF"),
    "an alias in one line": run("alias pip=true; pip install torch", shows=Shows.PERHAPS),
    "heredoc with a heredoc that is written": _heredoc(
        "RUN <<EOF", "cat > /start.sh <<INNER", "pip install torch", "INNER", "chmod +x /start.sh", "EOF"
    ),
    "heredoc with a heredoc, and torch": _heredoc(
        "RUN <<EOF", "set -e", "cat > /start.sh <<INNER", "echo ready", "INNER", "pip install torch", "EOF"
    ),
    "heredoc with a program of its own": _heredoc(
        "RUN <<EOF", "#!/bin/sh", "pip install torch", "EOF", shows=Shows.NOT
    ),
    "heredoc for cat": _heredoc("RUN cat <<EOF > /start.sh", "#!/bin/sh", "pip install torch", "EOF"),
    "heredoc for cat, in quotes": _heredoc("RUN cat > /start.sh <<'EOF'", "pip install torch", "EOF"),
    "heredoc for cat, and more": _heredoc(
        "RUN cat <<EOF > /start.sh && pip install torch", "echo ready", "EOF", shows=Shows.SURELY
    ),
    "heredoc for cat, and run": _heredoc(
        "RUN cat <<EOF > /start.sh && sh /start.sh", "pip install torch", "EOF", shows=Shows.PERHAPS
    ),
    "heredoc for tee": _heredoc("RUN tee /start.sh <<EOF", "pip install torch", "EOF"),
    "heredoc for bash": _heredoc("RUN bash <<'EOF'", "set -e", "pip install torch", "EOF"),
    "heredoc for bash with a branch not taken": _heredoc(
        "RUN bash <<'EOF'", "if [[ $WITH == yes ]]; then pip install torch; fi", "EOF"
    ),
    "heredoc for python": _heredoc("RUN python3 <<EOF", "note = 'pip install torch'", "EOF"),
    "heredoc with a substitution": _heredoc("RUN cat <<EOF", "$(pip install torch)", "EOF", shows=Shows.PERHAPS),
    "heredoc with a substitution, in quotes": _heredoc("RUN cat <<'EOF'", "$(pip install torch)", "EOF"),
    "heredoc of COPY": _heredoc("COPY <<EOF /start.sh", "pip install torch", "EOF"),
    "two heredocs": _heredoc(
        "RUN cat <<A > /a && cat <<B > /b", "pip install torch", "A", "echo && pip install torch", "B"
    ),
}
