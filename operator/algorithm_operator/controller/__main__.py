"""`python -m algorithm_operator.controller`: the operator."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from algorithm_operator.controller import config
from algorithm_operator.controller.app import run
from algorithm_operator.controller.reconcile import reconcile
from algorithm_operator.kube import connection, logs
from algorithm_operator.kube.client import JSON_LEVELS
from algorithm_operator.kube.environment import ConfigError


def main() -> int:
    """Run until SIGTERM; 78 (EX_CONFIG) if the environment is not usable, 1 if the cluster is not."""
    sys.setrecursionlimit(JSON_LEVELS)
    try:
        settings = config.load(os.environ)
        credentials = connection.load(os.environ)
    except (ConfigError, connection.NoCredentials) as error:
        print(f"algorithm-operator: {error}", file=sys.stderr)
        return 78
    logs.configure(settings.log_level)
    try:
        uvloop.run(run(settings, credentials, reconcile))
    except Exception:
        logging.getLogger(__name__).critical("the operator cannot go on", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
