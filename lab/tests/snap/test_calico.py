from typing import Any

import yaml
from microk8s import calico

from .conftest import UPSTREAM_CALICO, Node


def _objects(text: str) -> dict[str, Any]:
    return {item["kind"]: item for item in yaml.safe_load_all(text)}


def test_microk8s_changes_of_calico(node: Node) -> None:
    text = node.read("args/cni-network/cni.yaml")
    objects = _objects(text)
    current = f"{node.data.parent}/current"

    (stand_in,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert stand_in == {
        "name": "calico-kube-controllers",
        "image": "registry.lab.home.arpa/registry.k8s.io/pause:3.10",
    }
    assert "name: ippools.crd.projectcalico.org # kept as it is written" in text
    config = objects["ConfigMap"]["data"]["cni_network_config"]
    assert f'"{node.common}/var/log/calico/cni/cni.log"' in config

    pod = objects["DaemonSet"]["spec"]["template"]["spec"]
    (install,), (container,) = pod["initContainers"], pod["containers"]
    assert install["image"] == "registry.lab.home.arpa/docker.io/calico/cni:v1"
    assert container["image"] == "registry.lab.home.arpa/docker.io/calico/node:v1"
    assert {"name": "CNI_NET_DIR", "value": f"{current}/args/cni-network"} in install["env"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["CALICO_IPV4POOL_VXLAN"] == "Always"
    assert environment["CALICO_IPV4POOL_CIDR"] == "10.1.0.0/16"
    assert environment["IP"] == "autodetect"
    assert len(environment) == len(container["env"]), "no variable is set twice"
    assert [mount["name"] for mount in container["volumeMounts"]] == ["var-lib-calico"]
    assert {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"]} == {
        "lib-modules": "/lib/modules",
        "var-lib-calico": f"{current}/var/lib/calico",
        "cni-net-dir": f"{current}/args/cni-network",
    }


def test_pods_use_the_configured_network() -> None:
    text = calico.manifest(UPSTREAM_CALICO.read_text(), "10.9.0.0/16")
    (container,) = _objects(text)["DaemonSet"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "CALICO_IPV4POOL_CIDR", "value": "10.9.0.0/16"} in container["env"]
