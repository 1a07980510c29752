"""`python -m thinkpace`: the command line."""

from __future__ import annotations

from thinkpace.eval.__main__ import main

if __name__ == "__main__":
    main()
