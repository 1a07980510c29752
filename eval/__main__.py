"""Entry point of the command line: expected errors give one sentence and exit code 2 instead of a traceback."""

from __future__ import annotations

import sys

from thinkpace.errors import MissingExtra


def main() -> None:
    """Run the command line."""
    try:
        from thinkpace.eval.cli.app import app  # imported here, so that a missing library also gives a sentence

        app(prog_name="thinkpace")
    except (ValueError, OSError, MissingExtra) as error:
        print(f"thinkpace: {_in_options(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None


def _in_options(message: str) -> str:
    """A message of the library in the names of the command line."""
    message = message.replace("pass markers=Markers('<open tag>', '<close tag>')", "name them with --open and --close")
    if "max_new_tokens=" in message and "answer_reserve=" in message:
        message += " (--max-new-tokens, --min-tokens, --answer-reserve)"
    return message


if __name__ == "__main__":
    main()
