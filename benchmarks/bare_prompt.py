"""A prompt of prompt_toolkit and nothing else: what `terminal.py` measures beside `apr code`."""

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout


def main() -> None:
    """Take lines until the terminal is closed."""
    session: PromptSession[str] = PromptSession(bottom_toolbar="bare")
    with patch_stdout(raw=True):
        while True:
            session.prompt("> ")


if __name__ == "__main__":
    main()
