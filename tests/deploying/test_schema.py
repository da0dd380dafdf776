"""Every resource has exactly the fields that Kubernetes knows, by its own schema."""

import shutil
from pathlib import Path

import kubernetes_validate
import pytest

from tests.deploying.rendering import K8S, Manifests, find_program, render

# The oldest that knows `preStop: sleep`, and the newest that the validator knows.
VERSIONS = ("1.30.0", "1.37.0")
KINDS = {
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_valid(manifests: Manifests, version: str) -> None:
    for resource in manifests.resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_only_kinds_that_were_meant(manifests: Manifests) -> None:
    # No Secret among them: the repository holds none.
    assert {(r["apiVersion"], r["kind"]) for r in manifests.resources} == KINDS


@pytest.mark.parametrize(
    ("file", "field", "misspelt"),
    [
        ("base/serving.yaml", "readinessProbe:", "readynessProbe:"),
        ("base/serving.yaml", "maxUnavailable:", "maxUnavailble:"),
        ("base/restricted.yaml", "readOnlyRootFilesystem:", "readOnlyRootFileSystem:"),
        ("base/claim/deployment.yaml", "topologySpreadConstraints:", "topologySpreadConstraint:"),
        ("base/claim/service.yaml", "targetPort:", "targetport:"),
        ("base/migrate/job.yaml", "backoffLimit: 3", "backoffLimit: three"),
        ("base/network/egress-dns.yaml", "namespaceSelector:", "namespacesSelector:"),
        ("base/network/default-deny.yaml", "networking.k8s.io/v1", "networking.k8s.io/v2"),
        ("overlays/prod/claim-size.yaml", "requests:", "request:"),
    ],
)
def test_a_misspelt_field_is_found(
    prod: Manifests, tmp_path: Path, file: str, field: str, misspelt: str
) -> None:
    shutil.copytree(K8S, tmp_path, dirs_exist_ok=True)
    path = tmp_path / file
    text = path.read_text()
    assert field in text
    path.write_text(text.replace(field, misspelt))
    changed = [r for r in render(tmp_path / "overlays" / "prod") if r not in prod.resources]
    assert changed
    unacceptable = (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError)
    for resource in changed:
        with pytest.raises(unacceptable):
            kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)


def test_the_system_s_kubectl_renders_alike(manifests: Manifests) -> None:
    """Nobody needs one for these tests; whoever deploys uses one."""
    system = shutil.which("kubectl") or find_program("kubectl")
    folder = K8S / "overlays" / manifests.overlay
    assert render(folder, kubectl=system) == manifests.resources
