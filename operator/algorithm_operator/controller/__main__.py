"""`python -m algorithm_operator.controller`: the operator."""

from __future__ import annotations

import os
import sys

import uvloop

from algorithm_operator.controller import config, logs
from algorithm_operator.controller.app import run
from algorithm_operator.controller.reconcile import reconcile
from algorithm_operator.kube import connection


def main() -> int:
    """Run until SIGTERM; 78 (EX_CONFIG) if the environment is not usable."""
    try:
        settings = config.load(os.environ)
        credentials = connection.load(os.environ)
    except (config.ConfigError, connection.NoCredentials) as error:
        print(f"algorithm-operator: {error}", file=sys.stderr)
        return 78
    logs.configure(settings.log_level)
    uvloop.run(run(settings, credentials, reconcile))
    return 0


if __name__ == "__main__":
    sys.exit(main())
