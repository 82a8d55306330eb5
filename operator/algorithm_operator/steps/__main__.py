"""`python -m algorithm_operator.steps STEP`: what the containers of our image run."""

from __future__ import annotations

import os
import sys

from algorithm_operator.steps.roots import Roots


def main(arguments: list[str]) -> int:
    """Run one step. Each imports what it needs itself: they start often and must start fast."""
    roots = Roots.from_environment()
    match arguments:
        case ["stage"]:
            from algorithm_operator.steps import stage

            return stage.run(roots, os.environ)
        case ["collect"]:
            from algorithm_operator.steps import collect

            return collect.run(roots, os.environ)
        case ["salvage"]:
            from algorithm_operator.steps import salvage

            return salvage.run(roots)
        case ["store"]:
            from algorithm_operator.steps import store

            return store.run(roots)
    print("usage: python -m algorithm_operator.steps stage | collect | salvage | store", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
