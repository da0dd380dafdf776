"""Imports what the image runs, in a process that sees only the packages named as arguments."""

import importlib
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from types import ModuleType

RUN = ["services.cli", *(f"services.{s}.app" for s in ("campaign", "claim", "redeem", "ledger"))]


class Lacking(MetaPathFinder):
    """Refuses every module of a distribution that is not shipped."""

    def __init__(self, shipped: set[str]) -> None:
        self._refused = {
            module
            for module, distributions in packages_distributions().items()
            if not {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} & shipped
        }

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._refused:
            raise ModuleNotFoundError(f"the image has no {fullname}", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, Lacking({*sys.argv[1:], "fairdrop"}))
    for name in RUN:
        importlib.import_module(name)
