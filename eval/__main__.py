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
        print(f"thinkpace: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
