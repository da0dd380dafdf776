"""What the schema cannot know: that the resources fit each other, the code and our rules."""

import re
from typing import Any

import pytest

from services.supervising.deployed import SERVICES as SERVED
from shared.db.urls import SERVICES as ROLES
from shared.web.server import DRAIN_TIMEOUT_S
from tests.deploying.rendering import (
    K8S,
    REPOSITORY,
    SERVICES,
    Manifests,
    mappings,
    source_of,
    variables_in,
)

LINES_MAX = 60
# What reads each variable. A service that has the text in its package reads the variable.
READERS = {
    "FAIRDROP_POSTGRES_URL": "Settings.load(",
    "FAIRDROP_REDIS_URL": "Settings.load(",
    "FAIRDROP_MASTER_KEY": "Secrets.load(",
    "FAIRDROP_JWKS": "open_verifier(",
    "FAIRDROP_JWT_ISSUER": "open_verifier(",
    "FAIRDROP_JWT_ALGORITHM": "open_verifier(",
    "FAIRDROP_BANK_URL": "import BANK",
    "FAIRDROP_ECNY_URL": "import ECNY_OPERATOR",
}
# Only development keeps keys and addresses of simulators in a data dir.
NOT_DEPLOYED = {"FAIRDROP_DATA"}
SECRETS = {"FAIRDROP_POSTGRES_URL", "FAIRDROP_REDIS_URL", "FAIRDROP_MASTER_KEY"}


def test_every_file_is_small() -> None:
    long = {
        str(path.relative_to(K8S)): lines
        for path in K8S.rglob("*.yaml")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long


def test_every_service_is_deployed(manifests: Manifests) -> None:
    assert {service.name for service in SERVED} == set(SERVICES)
    assert set(SERVICES) < set(ROLES)
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert manifests.of_kind(kind).keys() == set(SERVICES)
    assert manifests.of_kind("Job").keys() == {"migrate"}
    for name in SERVICES:
        assert manifests.container(name)["args"][:2] == ["run", name]


def test_everything_is_in_one_namespace(manifests: Manifests) -> None:
    [namespace] = manifests.of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for resource in manifests.resources:
        if resource["kind"] != "Namespace":
            assert resource["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_selectors_pick_exactly_their_pods(manifests: Manifests) -> None:
    for name in SERVICES:
        deployment = manifests.of_kind("Deployment")[name]["spec"]
        service = manifests.of_kind("Service")[name]["spec"]
        budget = manifests.of_kind("PodDisruptionBudget")[name]["spec"]
        [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]
        selectors = [
            deployment["selector"]["matchLabels"],
            service["selector"],
            budget["selector"]["matchLabels"],
            spread["labelSelector"]["matchLabels"],
        ]
        for selector in selectors:
            assert _selected(manifests, {"matchLabels": selector}) == {name}


def test_the_network_is_closed_but_for_what_is_needed(manifests: Manifests) -> None:
    policies = {name: p["spec"] for name, p in manifests.of_kind("NetworkPolicy").items()}
    closed = policies.pop("default-deny")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    everybody = {*SERVICES, "migrate"}
    reach = {
        "egress-dns": everybody,
        "egress-postgres": everybody,
        "egress-valkey": set(SERVICES),
        "ingress-http": set(SERVICES),
    }
    if manifests.overlay == "prod":
        reach |= {"egress-bank": {"ledger"}, "egress-ecny-operator": {"redeem"}}
    assert {name: _selected(manifests, p["podSelector"]) for name, p in policies.items()} == reach
    for policy in policies.values():
        for rule in policy.get("egress", []) + policy.get("ingress", []):
            assert rule["ports"], "a rule names its ports"
            assert rule.get("to") or rule.get("from"), "a rule names its peers"
    assert _ports(policies["egress-dns"]) == {("UDP", 53), ("TCP", 53)}
    assert _ports(policies["egress-postgres"]) == {("TCP", 5432)}
    assert _ports(policies["egress-valkey"]) == {("TCP", 6379)}
    assert _ports(policies["ingress-http"]) == {("TCP", "http")}


def test_an_environment_has_servers_of_its_own() -> None:
    def data_namespaces(overlay: str) -> set[str]:
        policies = Manifests(overlay).of_kind("NetworkPolicy")
        return {
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for name in ("egress-postgres", "egress-valkey")
            for peer in policies[name]["spec"]["egress"][0]["to"]
        }

    assert data_namespaces("dev").isdisjoint(data_namespaces("prod"))


def test_ports_go_by_their_name(manifests: Manifests) -> None:
    for name in SERVICES:
        container = manifests.container(name)
        [port] = container["ports"]
        [service_port] = manifests.of_kind("Service")[name]["spec"]["ports"]
        assert port["name"] == service_port["targetPort"] == "http"
        assert container["args"][-2:] == ["--port", str(port["containerPort"])]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "http"


def test_liveness_asks_the_process_alone(manifests: Manifests) -> None:
    for name in SERVICES:
        container = manifests.container(name)
        assert container["startupProbe"]["httpGet"]["path"] == "/livez"
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_a_pod_leaves_when_its_requests_are_done(manifests: Manifests) -> None:
    for name in SERVICES:
        deployment = manifests.of_kind("Deployment")[name]["spec"]
        assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        pause_s = manifests.container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace_s = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
        # As much again for the batches, tasks and pools that close after the last request.
        assert grace_s >= pause_s + 2 * DRAIN_TIMEOUT_S


def test_every_pod_is_restricted(manifests: Manifests) -> None:
    accounts = manifests.of_kind("ServiceAccount")
    for name, pod in manifests.pods().items():
        spec, container = pod["spec"], manifests.container(name)
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
        volumes = {v["name"]: v for v in spec["volumes"]}
        assert {m["name"] for m in container["volumeMounts"]} == volumes.keys()
        assert all(v.keys() <= {"name", "emptyDir", "configMap"} for v in volumes.values())
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        assert resources["requests"]["cpu"]


def test_the_image_is_one_and_pinned(manifests: Manifests) -> None:
    [image] = {manifests.container(name)["image"] for name in manifests.pods()}
    name, _, tag = image.rpartition(":")
    assert "/" in name
    assert tag not in {"", "latest"}


def test_the_image_s_user_is_the_pods(manifests: Manifests) -> None:
    recipe = (REPOSITORY / "Dockerfile").read_text()
    [user] = re.findall(r"^USER (\d+):(\d+)$", recipe, re.MULTILINE)
    for pod in manifests.pods().values():
        context = pod["spec"]["securityContext"]
        assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_what_it_reads(manifests: Manifests, service: str) -> None:
    source = source_of(REPOSITORY / "services" / service)
    read = {variable for variable, reader in READERS.items() if reader in source}
    told = manifests.environment(service)
    assert told.keys() == read
    assert {v for v, value in told.items() if isinstance(value, tuple)} == read & SECRETS
    assert told["FAIRDROP_POSTGRES_URL"] == ("postgres-urls", service)


def test_the_migration_is_told_what_it_reads(manifests: Manifests) -> None:
    assert manifests.environment("migrate") == {
        "FAIRDROP_POSTGRES_URL": ("postgres-urls", "owner"),
        "FAIRDROP_MASTER_KEY": ("master-key", "master-key"),
    }


def test_no_variable_of_the_code_is_forgotten() -> None:
    packages = [REPOSITORY / "shared", *(REPOSITORY / "services" / name for name in SERVICES)]
    named = {name for package in packages for name in variables_in(source_of(package))}
    assert named == READERS.keys() | NOT_DEPLOYED
    documented = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert {variable for variable in named if f"`{variable}`" not in documented} == set()


def test_the_key_file_is_where_it_is_looked_for(manifests: Manifests) -> None:
    for name in SERVICES:
        told = manifests.environment(name)
        mounts = {m["mountPath"]: m for m in manifests.container(name)["volumeMounts"]}
        if "FAIRDROP_JWKS" in told:
            assert told["FAIRDROP_JWKS"] == "/etc/fairdrop/jwks.json"
            assert mounts["/etc/fairdrop"]["readOnly"] is True
        else:
            assert "/etc/fairdrop" not in mounts


def test_nothing_secret_is_written_down(manifests: Manifests) -> None:
    for mapping in mappings(manifests.resources):
        for name, value in mapping.items():
            assert name not in SECRETS, "a secret variable comes from a Secret"
            assert not (isinstance(value, str) and re.search(r"//[^/]*:[^/]*@", value))


def _selected(manifests: Manifests, selector: dict[str, Any]) -> set[str]:
    """Return the pods that a label selector picks."""
    picked = set()
    for name, pod in manifests.pods().items():
        labels = pod["metadata"]["labels"]
        equal = selector.get("matchLabels", {}).items() <= labels.items()
        if equal and all(_meets(labels, e) for e in selector.get("matchExpressions", [])):
            picked.add(name)
    return picked


def _meets(labels: dict[str, str], expression: dict[str, Any]) -> bool:
    has = labels.get(expression["key"]) in expression["values"]
    return has if expression["operator"] == "In" else not has


def _ports(policy: dict[str, Any]) -> set[tuple[str, object]]:
    rules = policy.get("egress", []) + policy.get("ingress", [])
    return {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}
