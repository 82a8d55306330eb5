"""`python -m algorithm_operator.gateway`: the gateway."""

from __future__ import annotations

import logging
import os
import ssl
import sys

import uvloop

from algorithm_operator.gateway import settings as config
from algorithm_operator.gateway.database.engine import DatabaseTooNew, migrate
from algorithm_operator.gateway.process import run
from algorithm_operator.kube import connection, logs
from algorithm_operator.kube.client import JSON_LEVELS
from algorithm_operator.kube.environment import ConfigError


def main() -> int:
    """Run until SIGTERM; 78 (EX_CONFIG) if the environment is not usable, 1 if something else is not."""
    sys.setrecursionlimit(JSON_LEVELS)
    try:
        settings = config.load(os.environ)
        credentials = connection.load(os.environ)
    except (ConfigError, connection.NoCredentials) as error:
        print(f"algorithm-operator gateway: {error}", file=sys.stderr)
        return 78
    logs.configure(settings.log_level)
    log = logging.getLogger("algorithm_operator.gateway")
    try:
        migrate(settings.database)
        uvloop.run(run(settings, credentials))
    except DatabaseTooNew as error:
        log.critical("%s", error)
        return 1
    except ssl.SSLError as error:
        log.critical("the TLS certificate and key do not fit: %s", error.reason)
        return 78
    except Exception:
        log.critical("the gateway cannot go on", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
