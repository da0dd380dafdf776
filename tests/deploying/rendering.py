"""The manifests as a cluster would be given them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
K8S = REPOSITORY / "k8s"
OVERLAYS = ("dev", "prod")
SERVICES = ("campaign", "claim", "redeem", "ledger")
_LOCKED = Path(sys.executable).parent
_TIMEOUT_S = 30

Resource = dict[str, Any]


def find_program(name: str) -> str:
    """Return the program that came with the locked dependencies, else the system's."""
    found = shutil.which(name, path=str(_LOCKED)) or shutil.which(name)
    assert found is not None, f"there is no {name}: run make setup"
    return found


def render(folder: Path, *, kubectl: str | None = None) -> list[Resource]:
    """Return what kustomize makes of a folder."""
    rendered = subprocess.run(
        [kubectl or find_program("kubectl"), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    return list(yaml.safe_load_all(rendered.stdout))


class Manifests:
    """One rendered overlay."""

    def __init__(self, overlay: str) -> None:
        self.overlay = overlay
        self.resources = render(K8S / "overlays" / overlay)

    def of_kind(self, kind: str) -> dict[str, Resource]:
        """Return the resources of one kind by name."""
        return {r["metadata"]["name"]: r for r in self.resources if r["kind"] == kind}

    def pods(self) -> dict[str, Resource]:
        """Return the pod template of every Deployment and Job by its name."""
        owners = self.of_kind("Deployment") | self.of_kind("Job")
        return {name: owner["spec"]["template"] for name, owner in owners.items()}

    def container(self, name: str) -> Resource:
        """Return the one container of a pod template."""
        [container] = self.pods()[name]["spec"]["containers"]
        return dict(container)

    def environment(self, name: str) -> dict[str, str | tuple[str, str]]:
        """Return a container's variables: the value, or the Secret and the key that hold it."""
        maps = self.of_kind("ConfigMap")
        container = self.container(name)
        environment: dict[str, str | tuple[str, str]] = {}
        for source in container.get("envFrom", []):
            environment |= maps[source["configMapRef"]["name"]]["data"]
        for variable in container.get("env", []):
            reference = variable["valueFrom"]["secretKeyRef"]
            environment[variable["name"]] = (reference["name"], reference["key"])
        return environment


def mappings(value: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside a resource, at any depth."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from mappings(inner)


def source_of(package: Path) -> str:
    """Return all the Python of a package as one text."""
    return "\n".join(path.read_text() for path in sorted(package.rglob("*.py")))


def variables_in(text: str) -> set[str]:
    """Return the names of Fairdrop's variables that a source names as a string."""
    return set(re.findall(r'"(FAIRDROP_[A-Z_]+)"', text))
