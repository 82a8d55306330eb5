"""The test cluster's command line: `python3 tests/cluster up`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.cluster.cli import main

sys.exit(main())
