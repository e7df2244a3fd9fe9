"""``python3 -m logboom``: the command line."""

import sys

from logboom.cli import main

if __name__ == "__main__":
    sys.exit(main())
