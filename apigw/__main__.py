"""``python -m apigw``."""

from __future__ import annotations

import sys

from apigw.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
