"""Every container runs as the user that its image is made for."""

from harness.manifests import Object, pods

# User and group of each image: the USER of its Dockerfile, or the owner of its files.
IMAGES = {
    # gcr.io/distroless' "nonroot".
    "traefik": (65532, 65532),
    "go-httpbin": (65532, 65532),
    # "nobody" of Prometheus' busybox image, which all its programs and the exporters share.
    "prometheus": (65534, 65534),
    "alertmanager": (65534, 65534),
    "node-exporter": (65534, 65534),
    "blackbox-exporter": (65534, 65534),
    "elasticsearch-exporter": (65534, 65534),
    "kube-state-metrics": (65534, 65534),
    # Built from scratch: any user works, and "nobody" owns no files.
    "opentelemetry-collector-k8s": (65534, 65534),
    "grafana": (472, 472),
    "jaeger": (10001, 10001),
    # Elastic's images have the user 1000. Files of Elasticsearch and Filebeat belong to the group root.
    "elasticsearch": (1000, 0),
    "kibana": (1000, 1000),
    "logstash": (1000, 1000),
    "filebeat": (1000, 0),
    # Built here: USER in images/*/Dockerfile. The app works with any user, and gets that of all apps.
    "hello": (65532, 65532),
    "homeserver-logstore": (10001, 10001),
    "homeserver-disk-cleanup": (10001, 10001),
    "homeserver-welcome": (10001, 10001),
    "homeserver-devices": (10001, 10001),
    # The owner's, set in everything_on.
    "blog": (1000, 1000),
    "postgres": (999, 999),
    "game": (65532, 65532),
}
# The group that owns the volumes and secrets of each workload.
GROUPS = {
    "CronJob logging/logstore-retain": 10001,
    "CronJob logging/logstore-snapshot": 10001,
    "CronJob apps/blog-clean": 1000,
    "Deployment apps/blog": 1000,
    "Deployment apps/db": 999,
    "Deployment apps/game": 65532,
    "Deployment apps/hello": 65532,
    "Deployment disk-cleanup/receiver": 10001,
    "Deployment logging/kibana": 1000,
    "Deployment monitoring/grafana": 472,
    "Deployment tracing/jaeger": 10001,
    "Job logging/arrival": 10001,
    "Job logging/logstore-setup": 10001,
    "StatefulSet logging/elasticsearch": 1000,
    "StatefulSet logging/logstash": 1000,
    "StatefulSet monitoring/alertmanager": 65534,
    "StatefulSet monitoring/prometheus": 65534,
}
# Workloads whose secrets have Kubernetes' default mode: every user in the pod can read them.
FOR_ALL_IN_THE_POD = {
    "DaemonSet monitoring-host/node-exporter",
    "Deployment logging/log-metrics",
    "Deployment monitoring/grafana",
    "Job logging/kibana-objects",
    "StatefulSet monitoring/prometheus",
}
# One removes other users' files on the host, the other reaches the kubelet's socket.
ROOT = {"CronJob disk-cleanup/disk-cleanup": (0, 0), "DaemonSet apps-devices/devices": (0, 0)}


def _image(container: Object) -> str:
    """Return the last part of an image's name."""
    return str(container["image"].rpartition("/")[2].partition(":")[0])


def test_every_pod_runs_as_its_images_user(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        context = pod["securityContext"]
        user = (context["runAsUser"], context["runAsGroup"])
        assert user == ROOT.get(name, IMAGES[_image(pod["containers"][0])]), name


def test_no_container_runs_as_another_user_than_its_pod(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        for container in pod["containers"] + pod.get("initContainers", []):
            assert not container["securityContext"].keys() & {"runAsUser", "runAsGroup"}, name


def test_volumes_belong_to_their_workloads_group(objects: list[Object]) -> None:
    groups = {name: pod["securityContext"].get("fsGroup") for name, pod in pods(objects)}

    assert groups == {name: GROUPS.get(name) for name in groups}


def test_secrets_are_readable_only_by_the_group(objects: list[Object]) -> None:
    modes = {
        (name, volume["name"]): volume["secret"].get("defaultMode")
        for name, pod in pods(objects)
        for volume in pod.get("volumes", [])
        if "secret" in volume
    }

    assert modes == {place: None if place[0] in FOR_ALL_IN_THE_POD else 0o440 for place in modes}
