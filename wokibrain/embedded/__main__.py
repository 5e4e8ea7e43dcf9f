"""The process of a keeper; see ``lease``."""

import sys
from pathlib import Path

from wokibrain.embedded.lease import keep

if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2]))
