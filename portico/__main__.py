"""``python -m portico``: the same as the command ``portico``."""

from __future__ import annotations

from portal.cli import main

if __name__ == "__main__":
    main()
