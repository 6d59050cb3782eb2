"""cni.yaml: upstream's VXLAN manifest of Calico, with changes of MicroK8s and the lab."""

import re
from typing import Any

import yaml

from . import paths

REGISTRY = "registry.lab.home.arpa/"
# The lab has no image of the controllers, which only clean up after removed nodes. A pod that does nothing
# stands in for them: it starts as late as they do.
CONTROLLERS = "calico-kube-controllers"
STAND_IN = f"{REGISTRY}registry.k8s.io/pause:3.10"
# The other init containers mount bpffs, which the machine may not, and convert address pools of old releases.
INIT_CONTAINERS = {"install-cni"}
USELESS_VOLUMES = {"bpffs", "sys-fs", "nodeproc", "host-local-net-dir"}


def _host_paths() -> dict[str, str]:
    return {
        "/opt/cni/bin": f"{paths.current()}/opt/cni/bin",
        "/etc/cni/net.d": f"{paths.current()}/args/cni-network",
        "/var/lib/calico": f"{paths.current()}/var/lib/calico",
        "/var/run/calico": f"{paths.current()}/var/run/calico",
        "/var/run/nodeagent": f"{paths.current()}/var/run/nodeagent",
        "/var/log/calico/cni": f"{paths.common()}/var/log/calico/cni",
    }


def manifest(upstream: str, pod_network: str) -> str:
    """Return Calico's manifest for a pod network (CIDR)."""
    parts = []
    for part in re.split(r"^---\s*$", upstream, flags=re.MULTILINE):
        # Most of the text is unchanged, and parsing it would take seconds.
        if "\nkind: CustomResourceDefinition\n" in part:
            parts.append(part.strip())
        elif item := yaml.safe_load(part):
            _adapt(item, pod_network)
            parts.append(yaml.safe_dump(item, sort_keys=False).strip())
    return "\n---\n".join(parts) + "\n"


def _adapt(item: dict[str, Any], pod_network: str) -> None:
    if item["kind"] == "ConfigMap":
        logs = "/var/log/calico/cni"
        config = item["data"]["cni_network_config"]
        item["data"]["cni_network_config"] = config.replace(logs, _host_paths()[logs])
    if item["kind"] == "Deployment":
        for container in item["spec"]["template"]["spec"]["containers"]:
            container["image"] = STAND_IN
            container.pop("livenessProbe", None)
            container.pop("readinessProbe", None)
    if item["kind"] == "DaemonSet":
        _adapt_pod(item["spec"]["template"]["spec"], pod_network)


def _adapt_pod(pod: dict[str, Any], pod_network: str) -> None:
    pod["initContainers"] = [c for c in pod["initContainers"] if c["name"] in INIT_CONTAINERS]
    pod["volumes"] = [v for v in pod["volumes"] if v["name"] not in USELESS_VOLUMES]
    host_paths = _host_paths()
    for volume in pod["volumes"]:
        volume["hostPath"]["path"] = host_paths.get(volume["hostPath"]["path"], volume["hostPath"]["path"])
    (install,), (node,) = pod["initContainers"], pod["containers"]
    for container in (install, node):
        container["image"] = REGISTRY + container["image"]
        container["volumeMounts"] = [m for m in container["volumeMounts"] if m["name"] not in USELESS_VOLUMES]
    _set(install, {"CNI_NET_DIR": host_paths["/etc/cni/net.d"]})
    _set(
        node,
        {
            "IP_AUTODETECTION_METHOD": "first-found",
            "CALICO_IPV4POOL_CIDR": pod_network,
            "CALICO_IPV4POOL_VXLAN": "Always",
            "CALICO_IPV6POOL_VXLAN": "Never",
            "FELIX_FEATUREDETECTOVERRIDE": "ChecksumOffloadBroken=true",
        },
    )


def reaching(text: str, address: str) -> str:
    """Return the manifest, in which nodes take the address that reaches this one, not the first found."""
    method = r"(name: IP_AUTODETECTION_METHOD\n\s*value: )first-found"
    return re.sub(method, rf"\g<1>can-reach={address}", text)


def _set(container: dict[str, Any], variables: dict[str, str]) -> None:
    kept = [variable for variable in container["env"] if variable["name"] not in variables]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in variables.items())]
