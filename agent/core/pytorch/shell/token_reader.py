"""Read a shell program one token at a time."""

from agent.core.pytorch.shell.words import Token, UnreadableError

_CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})


class TokenReader:
    """A position in a list of tokens. Methods that require a token raise UnreadableError if it is missing."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise UnreadableError(f"{self._tokens[self._at].text} was not expected")

    def operator(self) -> str:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token is not None and token.kind == "operator" else ""

    def word(self) -> str | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token.text if token is not None and token.kind == "word" else None

    def sees(self, operator: str) -> bool:
        return self.operator() == operator

    def closes(self) -> bool:
        return self.word() in _CLOSERS

    def begins_command(self) -> bool:
        if self._at >= len(self._tokens):
            return False
        return self._tokens[self._at].kind != "operator" or self.sees("(") if not self.closes() else False

    def skip_newlines(self) -> None:
        while self.sees("\n"):
            self._at += 1

    def take_word(self, *wanted: str) -> str:
        word = self.word()
        if word is None or (wanted and word not in wanted):
            raise UnreadableError(f"{' or '.join(wanted) or 'a word'} is missing")
        self._at += 1
        return word

    def take(self, operator: str) -> None:
        if not self.sees(operator):
            raise UnreadableError(f"{operator} is missing")
        self._at += 1

    def peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def advance(self) -> None:
        self._at += 1

    def redirects(self) -> tuple[str | None, bool, bool]:
        """Read the next redirections: the input text, whether it is literal, and whether output goes to a file."""
        text, is_literal, writes = None, False, False
        while (token := self.peek()) is not None:
            if token.kind == "heredoc":
                text, is_literal = token.text, token.is_literal
                self.advance()
            elif token.kind == "redirect":
                self.advance()
                target = self.take_word()
                if token.text.endswith("<<<"):
                    text, is_literal = target, False
                writes = writes or token.text.lstrip("01").startswith((">", "&>"))
            else:
                break
        return text, is_literal, writes
