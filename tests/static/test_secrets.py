"""Every password is only where it is used."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from harness import manifests, rendering
from harness.manifests import Object, containers, name_of, of, pods
from harness.roles import ROLES, ROOT, tasks_of

# The generated secrets in each Secret, by file name.
HOLDS = {
    **{
        f"Secret {namespace}/elasticsearch-{user} password": f"elasticsearch_{user}.password"
        for user, namespace in {
            "exporter": "logging",
            "filebeat": "logging-host",
            "importer": "logging",
            "logstash": "logging",
            "logstore": "logging",
            "metrics": "logging",
        }.items()
    },
    "Secret disk-cleanup/receiver token": "disk_cleanup.token",
    "Secret logging/elasticsearch-kibana token": "elasticsearch_kibana.token",
    "Secret logging/kibana encryption_key": "elk_kibana_encryption.key",
    "Secret logging/logstore password": "elasticsearch_logstore.password",
    "Secret monitoring/alertmanager automation-1.token": "disk_cleanup.token",
    "Secret monitoring/grafana admin_password": "grafana_admin.password",
    "Secret monitoring/grafana elasticsearch_password": "elasticsearch_grafana.password",
    "Secret monitoring/grafana secret_key": "grafana_encryption.key",
    "Secret monitoring/prometheus-node-exporter password": "node_exporter.password",
    "Secret tracing/jaeger password": "elasticsearch_jaeger.password",
}
# The users in each file of users: the name, and the file of the secret whose hash it has.
LETS_IN = {
    "Secret traefik/basic-auth users": {"admin": "traefik_dashboard.password", "guest": "guest's own"},
    "Secret traefik/admin-auth users": {"admin": "traefik_dashboard.password"},
    "Secret monitoring-host/node-exporter web.yml": {"prometheus": "node_exporter.password"},
    "Secret logging/elasticsearch users": {
        "admin": "kibana_admin.password",
        **{
            user: f"elasticsearch_{user}.password"
            for user in (
                "logstore",
                "filebeat",
                "logstash",
                "exporter",
                "metrics",
                "importer",
                "grafana",
                "jaeger",
                "viewer",
            )
        },
    },
    "Secret logging/elasticsearch service_tokens": {
        "elastic/kibana/homeserver": "elasticsearch_kibana.token",
    },
}
ROLES_OF_USERS = {
    "superuser": {"admin"},
    "logstore": {"logstore"},
    "shipper": {"filebeat", "logstash"},
    "exporter": {"exporter"},
    "metrics": {"metrics"},
    "kibana_admin": {"importer"},
    "reader": {"grafana"},
    "tracing": {"jaeger"},
    "viewer": {"viewer"},
}
# The Secrets that each workload can read. A pod that is not listed reads none.
READS = {
    "CronJob logging/logstore-retain": {"logstore"},
    "CronJob logging/logstore-snapshot": {"logstore"},
    "DaemonSet logging-host/filebeat": {"elasticsearch-filebeat"},
    "DaemonSet monitoring-host/node-exporter": {"node-exporter"},
    "CronJob apps/blog-clean": {"blog"},
    "Deployment apps/blog": {"blog"},
    "Deployment disk-cleanup/receiver": {"receiver"},
    "Deployment logging/elasticsearch-exporter": {"elasticsearch-exporter"},
    "Deployment logging/kibana": {"elasticsearch-kibana", "kibana"},
    "Deployment logging/log-metrics": {"elasticsearch-metrics"},
    "Deployment monitoring/grafana": {"grafana"},
    "Deployment tracing/jaeger": {"jaeger"},
    "Deployment traefik/traefik": {"acme-dns"},
    "Job logging/arrival": {"elasticsearch-logstore"},
    "Job logging/kibana-objects": {"elasticsearch-importer"},
    "Job logging/logstore-setup": {"logstore"},
    "StatefulSet logging/elasticsearch": {"elasticsearch"},
    "StatefulSet logging/logstash": {"elasticsearch-logstash", "logstash-tls"},
    "StatefulSet monitoring/alertmanager": {"alertmanager"},
    "StatefulSet monitoring/prometheus": {"prometheus-node-exporter", "prometheus-owner"},
}
# Environment variables that are set from them.
ENVIRONMENT = {
    "DaemonSet logging-host/filebeat filebeat": {
        "ELASTICSEARCH_USERNAME": "elasticsearch-filebeat username",
        "ELASTICSEARCH_PASSWORD": "elasticsearch-filebeat password",
    },
    "Deployment logging/elasticsearch-exporter exporter": {
        "ES_USERNAME": "elasticsearch-exporter username",
        "ES_PASSWORD": "elasticsearch-exporter password",
    },
    "Deployment logging/kibana kibana": {
        "ELASTICSEARCH_TOKEN": "elasticsearch-kibana token",
        "ENCRYPTION_KEY": "kibana encryption_key",
    },
    "StatefulSet logging/logstash logstash": {
        "ELASTICSEARCH_USERNAME": "elasticsearch-logstash username",
        "ELASTICSEARCH_PASSWORD": "elasticsearch-logstash password",
    },
}
# The user of each container that reads a password from a file.
ASKS_AS = {
    "CronJob logging/logstore-retain retain": "logstore",
    "CronJob logging/logstore-snapshot snapshot": "logstore",
    "Deployment logging/log-metrics metrics": "metrics",
    "Job logging/arrival arrival": "logstore",
    "Job logging/kibana-objects import": "importer",
    "Deployment tracing/jaeger ready": "jaeger",
    "Job logging/logstore-setup setup": "logstore",
    "StatefulSet logging/logstash ready": "logstash",
}
# Options with secret values: no task prints them.
SECRET_OPTIONS = re.compile(
    r"alertmanager_(ntfy|slack|discord|msteams|webhook)\.url|alertmanager_deadman_url"
    r"|.*(password|passphrase|token|user_key)|apps\.(secrets|files)|traefik_acme_dns_environment"
    r"|prometheus_scrape_configs|backup_repositories\.(prune|(prune\.)?(location|environment))"
)
# Tasks that print nothing: they handle the kubeconfig, a key to the whole cluster, or all secrets at once.
SILENT = {
    "apply.yml: Keep an encrypted copy of inventory and secrets on the founder",
    "apply.yml: Write the settings",
    "join.yml: Ask for a token on the founder",
    "kubeconfig.yml: Read the cluster's kubeconfig",
    "kubeconfig.yml: Write the kubeconfig",
    "objects.yml: Create the objects",
    "objects.yml: Fetch the objects",
    "prepare.yml: Ask for the backup password",
    "recovery_sheet.yml: Write the recovery sheet",
}

TEMPLATES = {
    "alertmanager": ["configuration.yaml.j2", "alertmanager.yaml.j2"],
    "disk_cleanup": ["receiver.yaml.j2", "cleanup.yaml.j2"],
}
HOME: dict[str, Any] = {
    "disk_cleanup_enabled": True,
    "elk_kibana_replicas": 1,
    "grafana_elasticsearch_url": "https://elasticsearch.logging:9200",
    "homeserver_built_images": {"homeserver-logstore": "a:1", "homeserver-disk-cleanup": "b:1"},
    "traefik_basic_auth_users": [{"name": "guest", "password": manifests.value("guest's own")}],
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The objects of all roles that have secrets; a dry run hides what is in a Secret."""
    state = tmp_path_factory.mktemp("home")
    manifests.write_secrets(state / "secrets/home")
    return [obj for role in _with_secrets() for obj in _objects(role, state)]


def _with_secrets() -> tuple[str, ...]:
    return ("traefik", "elk", "tracing", "prometheus", "grafana", "disk_cleanup", "alertmanager")


def _objects(name: str, state: Path) -> list[Object]:
    role = rendering.Role(name, state, **HOME)
    return role.objects(TEMPLATES.get(name, ()))


def _contents(objects: list[Object]) -> Iterator[tuple[str, str]]:
    """The values of all Secrets, as the pods see them."""
    for secret in of(objects, "Secret"):
        data = {key: base64.b64decode(text).decode() for key, text in (secret.get("data") or {}).items()}
        for key, text in (data | (secret.get("stringData") or {})).items():
            yield f"{name_of(secret)} {key}", text


def _known(text: str) -> set[str]:
    """The files of the generated secrets that a text has, also where it is encoded."""
    decoded = base64.b64decode(text, validate=False).decode(errors="replace") if _is_base64(text) else ""
    return {file for file in manifests.SECRETS if manifests.value(file) in text + decoded}


def _is_base64(text: str) -> bool:
    return len(text) % 4 == 0 and re.fullmatch(r"[A-Za-z0-9+/]+=*", text) is not None


def test_every_secret_is_only_where_it_is_used(rendered: list[Object]) -> None:
    held = {place: _known(text) for place, text in _contents(rendered) if _known(text)}

    assert held == {place: {file} for place, file in HOLDS.items()}


def test_a_secret_is_the_whole_value(rendered: list[Object]) -> None:
    wrapped = "Secret logging/elasticsearch-kibana token"  # with the account's name
    contents = {place: text for place, text in _contents(rendered) if place in HOLDS and place != wrapped}

    assert contents == {place: manifests.value(file) for place, file in HOLDS.items() if place != wrapped}


def test_only_secrets_contain_secrets(rendered: list[Object]) -> None:
    others = [obj for obj in rendered if obj["kind"] != "Secret"]

    assert [name_of(obj) for obj in others if _known(str(obj))] == []


def test_a_name_comes_with_its_own_password(rendered: list[Object]) -> None:
    named = {place: text for place, text in _contents(rendered) if place.endswith(" username")}
    with_name = [place for place in HOLDS if "/elasticsearch-" in place and place.endswith(" password")]

    assert named == {
        place.replace(" password", " username"): place.partition("/elasticsearch-")[2].split()[0]
        for place in with_name
    }


@pytest.mark.parametrize("place", LETS_IN)
def test_a_password_opens_the_account_it_was_made_for(rendered: list[Object], place: str) -> None:
    text = dict(_contents(rendered))[place]
    hashes = dict(re.findall(r"^ *([\w/]+): ?(\$2[ab]\$\S+)$", text, re.MULTILINE))

    assert hashes.keys() == LETS_IN[place].keys()
    for user, file in LETS_IN[place].items():
        assert bcrypt.checkpw(manifests.value(file).encode(), hashes[user].encode()), user


def test_every_user_has_its_role(rendered: list[Object]) -> None:
    lines = dict(_contents(rendered))["Secret logging/elasticsearch users_roles"].split()

    assert {
        role: set(users.split(",")) for role, users in (line.split(":") for line in lines)
    } == ROLES_OF_USERS


def test_a_pod_reads_its_own_secrets_only(objects: list[Object]) -> None:
    read = {name: set(_secrets_of(pod)) for name, pod in pods(objects)}
    exist = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in of(objects, "Secret")}

    assert read == {name: READS.get(name, set()) for name in read}
    used = {(name.split()[1].partition("/")[0], secret) for name, names in read.items() for secret in names}
    assert used <= exist


def _secrets_of(pod: Object) -> Iterator[str]:
    for volume in pod.get("volumes", []):
        for source in [*volume.get("projected", {}).get("sources", []), volume]:
            if "secret" in source:
                yield source["secret"].get("secretName") or source["secret"]["name"]
    for container in pod["containers"] + pod.get("initContainers", []):
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield variable["valueFrom"]["secretKeyRef"]["name"]
        yield from (
            source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source
        )


def test_the_environment_takes_each_value_from_its_place(objects: list[Object]) -> None:
    taken = {
        name: {
            variable["name"]: f"{reference['name']} {reference['key']}"
            for variable in container.get("env", [])
            if (reference := variable.get("valueFrom", {}).get("secretKeyRef"))
        }
        for name, container in containers(objects)
    }

    assert {name: variables for name, variables in taken.items() if variables} == {
        name: variables for name, variables in ENVIRONMENT.items() if name in taken
    }


def test_a_container_asks_as_the_user_whose_password_it_reads(objects: list[Object]) -> None:
    users = {
        name: variable["value"]
        for name, container in containers(objects)
        for variable in container.get("env", [])
        if variable["name"] in ("ELASTICSEARCH_USER", "KIBANA_USER")
    }

    assert users == {name: ASKS_AS[name] for name, _ in containers(objects) if name in ASKS_AS}


def test_no_backend_gets_the_owners_password(objects: list[Object]) -> None:
    """Traefik removes it from the request."""
    middlewares = {obj["metadata"]["name"]: obj["spec"] for obj in of(objects, "Middleware")}
    asking = {name: spec["basicAuth"] for name, spec in middlewares.items() if "basicAuth" in spec}

    assert {auth["secret"] for auth in asking.values()} == {"basic-auth", "admin-auth"}
    for name, auth in asking.items():
        assert name == f"{auth['secret']}-password"
        assert auth["removeHeader"] is True
        # It is used by way of this chain alone, so that nobody checks a password without the limit.
        (*_, limit, last) = middlewares[auth["secret"]]["chain"]["middlewares"]
        assert (limit, last) == ({"name": "password-limit"}, {"name": name})
    assert not asking.keys() & set(_used_by_routes(objects))


def _used_by_routes(objects: list[Object]) -> Iterator[str]:
    for route in of(objects, "IngressRoute"):
        for rule in route["spec"]["routes"]:
            yield from (middleware["name"] for middleware in rule.get("middlewares", []))


def test_options_that_hold_a_secret_are_not_printed() -> None:
    marked = set(_options(marked=True))

    assert {name for name in _options() if SECRET_OPTIONS.fullmatch(name)} == marked
    assert len(marked) == 25


def _options(*, marked: bool = False) -> Iterator[str]:
    def walk(prefix: str, options: dict[str, Any]) -> Iterator[str]:
        for name, option in options.items():
            if not marked or option.get("no_log"):
                yield f"{prefix}{name}"
            yield from walk(f"{prefix}{name}.", option.get("options", {}))

    for role in ROLES:
        yield from walk("", role.options)


def test_tasks_that_handle_a_key_print_nothing() -> None:
    silent = {
        f"{file.name}: {task['name']}"
        for file in ROOT.glob("roles/*/tasks/*.yml")
        for task in tasks_of(file)
        if task.get("no_log")
    }

    assert silent == SILENT
