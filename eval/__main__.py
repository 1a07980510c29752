"""Entry point of the command line: a foreseeable mistake is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import sys

from thinkpace.errors import MissingExtra


def main() -> None:
    """Run the command line."""
    try:
        from thinkpace.eval.cli.app import app  # here, so that a missing part is a sentence too

        app(prog_name="thinkpace")
    except (ValueError, OSError, MissingExtra) as error:
        print(f"thinkpace: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
