"""Kubernetes accepts the objects, and the pod has no more than the agent needs."""

import shutil
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest

from agent.config import loading
from tests.deployment.files import CONFIG, run, yaml_documents, yaml_of

KUBERNETES = CONFIG / "kubernetes"
KUSTOMIZATION = yaml_of(KUBERNETES / "kustomization.yaml")
VERSIONS = ("1.29", "1.33", "1.37")


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """The objects of the files, by their kind."""
    made = [yaml_of(KUBERNETES / name) for name in KUSTOMIZATION["resources"]]
    return {item["kind"]: item for item in made}


@pytest.fixture(scope="module")
def pod(objects: dict[str, Any]) -> Any:
    return objects["DaemonSet"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_strict_schema_of_kubernetes_accepts_each_object(version: str, objects: dict[str, Any]) -> None:
    for item in objects.values():
        kubernetes_validate.validate(item, version, strict=True)


def test_a_key_that_kubernetes_does_not_know_fails_that_test(objects: dict[str, Any]) -> None:
    wrong = objects["ServiceAccount"] | {"automountToken": False}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_there_is_no_role_and_no_token(objects: dict[str, Any], pod: Any) -> None:
    assert set(objects) == {"Namespace", "ServiceAccount", "NetworkPolicy", "DaemonSet"}
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]


def test_the_pod_has_no_privilege(pod: Any) -> None:
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["seccompProfile"]["type"]) == (
        True,
        "RuntimeDefault",
    )
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_each_mount_has_its_volume_and_only_the_state_and_memory_can_be_written(pod: Any) -> None:
    [container] = pod["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert {name for name, mount in mounts.items() if not mount.get("readOnly")} == {"state", "engine", "tmp"}


def test_no_folder_of_a_node_is_made_by_accident(pod: Any) -> None:
    kinds = {
        volume["hostPath"]["path"]: volume["hostPath"]["type"] for volume in pod["volumes"] if "hostPath" in volume
    }
    assert set(kinds.values()) == {"Directory", "Socket", "File"}


def test_the_selectors_find_the_pod(objects: dict[str, Any]) -> None:
    labels = objects["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
    assert objects["DaemonSet"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_the_network_policy_lets_out_the_port_of_the_broker_and_in_that_of_the_metrics(objects: dict[str, Any]) -> None:
    policy, settings = objects["NetworkPolicy"]["spec"], (KUBERNETES / "torchkeeper.toml").read_text()
    [container] = objects["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    [port] = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert out == {8883, 53}
    assert "broker.example:8883" in settings
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert {"name": "TORCHKEEPER_HTTP__LISTEN", "value": f"0.0.0.0:{port}"} in container["env"]


def test_the_configuration_is_one_that_the_agent_accepts_and_it_only_observes(pod: Any) -> None:
    settings = loading.load(KUBERNETES / "torchkeeper.toml")
    assert settings.agent.mode == "observe"
    [container] = pod["containers"]
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings.docker.url.removeprefix("unix://") in paths
    assert str(settings.agent.state_dir) in paths
    assert str(settings.mqtt.key_file).startswith("/etc/torchkeeper-node/")


def test_the_kustomization_generates_what_the_pod_names(objects: dict[str, Any], pod: Any) -> None:
    [generated], [image] = KUSTOMIZATION["configMapGenerator"], KUSTOMIZATION["images"]
    assert KUSTOMIZATION["namespace"] == objects["Namespace"]["metadata"]["name"]
    assert [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume] == [generated["name"]]
    assert all((KUBERNETES / name).exists() for name in generated["files"])
    assert [container["image"] for container in pod["containers"]] == [image["name"]]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl builds the kustomization, where it is installed")
def test_kubectl_builds_the_kustomization() -> None:
    built = {item["kind"]: item for item in yaml_documents(run("kubectl", "kustomize", KUBERNETES))}
    assert set(built) == {"Namespace", "ServiceAccount", "NetworkPolicy", "DaemonSet", "ConfigMap"}
    assert {item["metadata"].get("namespace", "torchkeeper") for item in built.values()} == {"torchkeeper"}
    volumes = built["DaemonSet"]["spec"]["template"]["spec"]["volumes"]
    named = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    assert named == [built["ConfigMap"]["metadata"]["name"]]
    for item in built.values():
        kubernetes_validate.validate(item, VERSIONS[-1], strict=True)
