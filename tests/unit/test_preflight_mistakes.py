"""Of an inventory with one mistake, preflight tells that mistake once, and nothing else."""

import json
from typing import Any

import pytest

from harness.playbooks import play
from harness.roles import ROOT

ROUTE = {"name": "nas", "host": "nas.home.arpa", "url": "http://192.168.1.20"}
SERVICE = {
    "name": "wiki",
    "host": "wiki.home.arpa",
    "service": {"namespace": "wiki", "name": "wiki", "port": "80"},
}
APP = {"name": "blog", "image": "registry.example.org/blog:1.0.0"}
SCHEDULE = {"name": "clean", "cron": "30 3 * * *", "command": ["clean"]}
VOLUME = {"name": "data", "path": "/data"}
FITTING = [
    APP | {"routes": [{}, {"path": "/blog"}], "needs": ["db"], "schedules": [SCHEDULE]},
    {"name": "db", "image": "db", "routes": [], "port": 5432, "probe": "tcp", "volumes": [VOLUME]},
    {"name": "worker", "image": "w", "routes": [], "port": 0, "probe": "none", "needs": ["db"]}
    | {"volumes": [VOLUME | {"size_gib": 9}, VOLUME | {"path": "/other", "subdirectory": "more"}]},
    {"name": "game", "image": "g", "ports": [{"port": 443, "protocol": "udp"}, {"port": 25565}]},
    {"from": "miniflux", "volumes": [{"name": "more", "path": "/more"}]},
    {"from": "jellyfin", "name": "films", "volumes": [{"name": "media", "size_gib": 500}]},
]


def route(**changes: Any) -> dict[str, Any]:
    return {"traefik_routes": [ROUTE | changes]}


def app(**changes: Any) -> dict[str, Any]:
    return {"apps": [APP | changes]}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    # Names.
    ({"trafik_routes": []}, "unknown variable trafik_routes -> did you mean traefik_routes?"),
    ({"traefik_route": []}, "unknown variable traefik_route -> did you mean traefik_routes?"),
    (
        {"home_server_domain": "x.org"},
        "unknown variable home_server_domain -> did you mean homeserver_domain?",
    ),
    ({"promtheus_retention_days": 9}, "promtheus_retention_days -> did you mean prometheus_retention_days?"),
    ({"flaskapp_greeting": "Hi"}, "flaskapp_greeting -> did you mean flask_app_greeting?"),
    ({"apps": [APP], "flask_app_apps": [APP]}, "flask_app_apps and apps are both set, and the first is"),
    ({"alertmanager_telegramm": []}, "alertmanager_telegramm -> did you mean alertmanager_telegram?"),
    ({"traefik_drain_time": 5}, "traefik_drain_time -> it is called traefik_drain_seconds now"),
    ({"traefik_replicas": 2}, "unknown variable traefik_replicas -> remove it: Traefik runs on every node"),
    (route(pth="/x"), "unknown key traefik_routes[0].pth -> did you mean path?"),
    (app(imge="x"), "unknown key apps[0].imge -> did you mean image?"),
    ({"prometheus_alert_thresholds": {"disk_free": 5}}, "unknown key prometheus_alert_thresholds.disk_free"),
    ({"homeserver_version_overrides": {"image": {}}}, "unknown key homeserver_version_overrides.image"),
    ({"homeserver_version_overrides": {"images": {"grafanna": "a/b:1"}}}, "unknown name grafanna"),
    # Types.
    ({"homeserver_domain": 123}, "homeserver_domain is '123' (expected a host name"),
    ({"homeserver_domain": None}, "homeserver_domain is empty (expected a host name"),
    ({"homeserver_domain": ["home.arpa"]}, "homeserver_domain is a list (expected a host name"),
    ({"homeserver_domain": True}, "homeserver_domain is true (expected a host name"),
    (
        {"elk_elasticsearch_replicas": "two"},
        "elk_elasticsearch_replicas is 'two' (expected a whole number from 1 to 9)",
    ),
    ({"elk_elasticsearch_replicas": 1.5}, "elk_elasticsearch_replicas is 1.5 (expected a whole number"),
    ({"elk_elasticsearch_replicas": True}, "elk_elasticsearch_replicas is true (expected a whole number"),
    ({"traefik_routes": ROUTE}, "traefik_routes is a dictionary (expected a list)"),
    ({"traefik_routes": ["nas"]}, "traefik_routes[0] is 'nas' (expected a dictionary)"),
    ({"flask_app_apps": ["blog"]}, "apps[0] is an invalid secret (expected a dictionary)"),
    ({"traefik_routes": None}, "traefik_routes is empty (expected a list)"),
    ({"microk8s_users": "owner"}, "microk8s_users is 'owner' (expected a list)"),
    ({"homeserver_logging_enabled": "no"}, "homeserver_logging_enabled is 'no' (expected true or false"),
    ({"microk8s_sysctl": ["a.b"]}, "microk8s_sysctl is a list (expected a dictionary)"),
    ({"homeserver_version_overrides": 5}, "homeserver_version_overrides is 5 (expected a dictionary)"),
    ({"preflight_ports": "many"}, "preflight_ports is 'many' (expected a list)"),
    ({"preflight_memory_mib": "much"}, "preflight_memory_mib is 'much' (expected a whole number"),
    ({"flask_app_greeting": ["Hello"]}, "flask_app_greeting is a list (expected a text)"),
    ({"microk8s_users": "{{ nothing }}"}, "microk8s_users cannot be evaluated: 'nothing' is undefined"),
    (app(secrets={"PORT": 5432}), "apps[0].secrets.PORT is an invalid secret (expected a text)"),
    (app(env={"LIST": [1]}), "apps[0].env.LIST is a list (expected"),
    # Ranges.
    ({"elk_retention_days": 0}, "elk_retention_days is 0 (expected a whole number from 1 to 3650)"),
    ({"homeserver_storage_budget_gib": 1}, "homeserver_storage_budget_gib is 1 (expected"),
    ({"certificate_authority_leaf_days": 825}, "certificate_authority_leaf_days is 825 (expected"),
    (
        {"tracing_sample_percent": 101},
        "tracing_sample_percent is 101 (expected a whole number from 0 to 100)",
    ),
    ({"microk8s_image_gc_high_percent": 120}, "microk8s_image_gc_high_percent is 120 (expected"),
    ({"alertmanager_repeat_hours": 0}, "alertmanager_repeat_hours is 0 (expected"),
    ({"traefik_drain_seconds": -1}, "traefik_drain_seconds is -1 (expected"),
    ({"grafana_replicas": 2}, "grafana_replicas is 2 (expected one of 0, 1)"),
    (
        {"microk8s_join_timeout_seconds": 5},
        "microk8s_join_timeout_seconds is 5 (expected a whole number from 60",
    ),
    ({"preflight_ports": [70000]}, "preflight_ports[0] is 70000 (expected a whole number from 1 to 65535)"),
    (
        {"prometheus_alert_thresholds": {"disk_free_percent": 110}},
        "disk_free_percent is 110 (expected a number from",
    ),
    (
        {"prometheus_alert_thresholds": {"pod_pending_minutes": 45}},
        "pod_pending_minutes is 45 (expected a number of",
    ),
    (app(port=70000), "apps[0].port is 70000 (expected a whole number from 0 to 65535)"),
    ({"flask_app_hello": APP | {"port": 70000}}, "flask_app_hello.port is 70000 (expected from 0 to 65535)"),
    (app(user=0), "apps[0].user is 0 (expected"),
    (app(replicas=-1), "apps[0].replicas is -1 (expected"),
    (app(autoscaling={"min": 0, "max": 2}), "apps[0].autoscaling.min is 0 (expected"),
    (app(schedules=[SCHEDULE | {"timeout_minutes": 0}]), "apps[0].schedules[0].timeout_minutes is"),
    (app(ports=[{"port": 0}]), "apps[0].ports[0].port is 0 (expected a whole number from 1"),
    ({"elk_logstash_memory_limit_mib": 512}, "elk_logstash_memory_limit_mib is 512 (expected"),
    # Choices, and what is missing.
    ({"traefik_log_level": "debug"}, "traefik_log_level is 'debug' (expected one of TRACE, DEBUG"),
    (
        {"homeserver_platform": "arm64"},
        "homeserver_platform is 'arm64' (expected one of linux/amd64, linux/arm64)",
    ),
    (route(middlewares=["gzip"]), "traefik_routes[0].middlewares[0] is 'gzip' (expected one of compress"),
    (app(middlewares=["gzip"]), "apps[0].middlewares[0] is 'gzip' (expected one of basic-auth"),
    (
        {"traefik_routes": [{"name": "nas", "url": "http://192.168.1.20"}]},
        "traefik_routes[0].host is not set -> it is:",
    ),
    (
        {"traefik_routes": [{"name": "nas", "host": "nas.home.arpa"}]},
        "traefik_routes[0] has none of service and url",
    ),
    ({"traefik_routes": [ROUTE | SERVICE]}, "traefik_routes[0] has service and url (expected one of them)"),
    (app(source="{{ role_path }}/../../app"), "apps[0] has image and source and git (expected one of them)"),
    (
        {"prometheus_scrape_configs": [{"static_configs": []}]},
        "prometheus_scrape_configs[0].job_name is not set",
    ),
    ({"prometheus_probes": [{"module": "gopher", "target": "a"}]}, "prometheus_probes[0].module is 'gopher'"),
    (
        {"alertmanager_email": [{"to": "a@example.org", "smarthost": "m.example.org:25", "username": "a"}]},
        "alertmanager_email[0] has only one of username and password",
    ),
    # Names of hosts and objects.
    (
        {"microk8s_node_labels": {"disk": "very large"}},
        "microk8s_node_labels.disk is 'very large' (expected at",
    ),
    ({"microk8s_node_labels": {"my disk": "a"}}, "a key of microk8s_node_labels is 'my disk' (expected"),
    (
        {"microk8s_node_taints": [{"key": "only", "effect": "Never"}]},
        "microk8s_node_taints[0].effect is 'Never' (expected one of NoSchedule",
    ),
    ({"microk8s_node_taints": [{"key": "only"}]}, "microk8s_node_taints[0].effect is not set"),
    (
        {"microk8s_abandon_volumes": ["data"]},
        "microk8s_abandon_volumes[0] is 'data' (expected a namespace and",
    ),
    ({"homeserver_domain": "My_Home"}, "homeserver_domain is 'My_Home' (expected a host name"),
    (
        {"homeserver_domain": "https://home.arpa"},
        "homeserver_domain is 'https://home.arpa' (expected a host name",
    ),
    (route(host="nas" + "_1.home.arpa"), "traefik_routes[0].host is 'nas_1.home.arpa' (expected a host name"),
    (
        route(host="a`) || PathPrefix(`/"),
        "traefik_routes[0].host is 'a`) || PathPrefix(`/' (expected a host name",
    ),
    (route(name="My NAS"), "traefik_routes[0].name is 'My NAS' (expected a name of up to 42"),
    (app(name="My_Blog"), "apps[0].name is 'My_Blog' (expected a name of up to 63"),
    (app(name="9lives"), "apps[0].name is '9lives' (expected a name of up to 63"),
    (app(host="*.home.arpa"), "apps[0].host is '*.home.arpa' (expected a host name"),
    (app(routes=[{"host": "Shop"}]), "apps[0].routes[0].host is 'Shop' (expected a host name"),
    (app(schedules=[SCHEDULE | {"name": "_"}]), "apps[0].schedules[0].name is '_' (expected a"),
    (app(volumes=[VOLUME | {"name": "_"}]), "apps[0].volumes[0].name is '_' (expected a name"),
    (app(env={"MY NAME": "x"}), "a key of apps[0].env is 'MY NAME' (expected the name of an environment"),
    (
        {"traefik_backend_namespaces": ["My Apps"]},
        "traefik_backend_namespaces[0] is 'My Apps' (expected a name",
    ),
    ({"traefik_certificate_hosts": ["a b"]}, "traefik_certificate_hosts[0] is 'a b' (expected a host name"),
    ({"prometheus_unprobed_hosts": ["NAS"]}, "prometheus_unprobed_hosts[0] is 'NAS' (expected a host name"),
    ({"microk8s_users": ["the owner"]}, "microk8s_users[0] is 'the owner' (expected a login"),
    (
        {"traefik_basic_auth_users": [{"name": "a:b", "password": "x"}]},
        "traefik_basic_auth_users[0].name is 'a:b'",
    ),
    # URLs, addresses, networks, paths, images, quantities and other formats.
    (
        {"homeserver_tracing_endpoint": "collector:4318"},
        "homeserver_tracing_endpoint is 'collector:4318' (expected a URL",
    ),
    ({"grafana_jaeger_url": "ftp://jaeger"}, "grafana_jaeger_url is 'ftp://jaeger' (expected a URL"),
    (
        {"traefik_acme_server": "http://ca.example"},
        "traefik_acme_server is 'http://ca.example' (expected a URL",
    ),
    (
        {"alertmanager_runbook_base_url": "https://example.org"},
        "expected a URL that ends with a slash such as",
    ),
    (
        route(url="http://nas.local:5000"),
        "traefik_routes[0].url is 'http://nas.local:5000' (expected a URL with an address",
    ),
    (
        route(url="http://192.168.1.20:99999"),
        "traefik_routes[0].url is 'http://192.168.1.20:99999' (expected a URL",
    ),
    (route(path="files"), "traefik_routes[0].path is 'files' (expected a path"),
    (route(ca="/etc/ca.crt"), "traefik_routes[0].ca is '/etc/ca.crt' (expected a certificate in PEM such as"),
    (
        {"traefik_external_addresses": ["home"]},
        "traefik_external_addresses[0] is 'home' (expected an address",
    ),
    (
        {"traefik_trusted_proxies": ["10.0.0.0/33"]},
        "traefik_trusted_proxies[0] is '10.0.0.0/33' (expected an address or",
    ),
    (
        {"prometheus_gateway_address": "192.168.1.256"},
        "prometheus_gateway_address is '192.168.1.256' (expected an",
    ),
    ({"homeserver_bundle": "bundle"}, "homeserver_bundle is 'bundle' (expected a path"),
    ({"homeserver_bundle": "/nowhere"}, "/nowhere/bundle.json cannot be read"),
    (
        {"homeserver_image_mirror": "https://mirror.example.org"},
        "homeserver_image_mirror is 'https://mirror.example.org'",
    ),
    ({"homeserver_acme_email": "owner"}, "homeserver_acme_email is 'owner' (expected an e-mail address"),
    (
        {"homeserver_version_overrides": {"images": {"grafana": "Grafana:12"}}},
        "images.grafana is 'Grafana:12' (expected an",
    ),
    (
        {"homeserver_version_overrides": {"microk8s_channel": "latest/stable"}},
        "microk8s_channel is 'latest/stable'",
    ),
    (app(image="registry/blog:"), "apps[0].image is 'registry/blog:' (expected an image"),
    (
        {"apps": [{"name": "a", "source": "/nowhere"}]},
        "apps[0].source is '/nowhere' (expected the full path of a dir",
    ),
    (
        app(resources={"limits": {"memory": "256 MB"}}),
        "resources.limits.memory is '256 MB' (expected a quantity",
    ),
    (
        app(egress=[{"to": [{"ipBlock": {"cidr": "192.168.1"}}]}]),
        "egress[0].to[0].ipBlock.cidr is '192.168.1' (expected",
    ),
    (app(volumes=[VOLUME | {"path": "data"}]), "apps[0].volumes[0].path is 'data' (expected a"),
    (app(init_commands=["migrate"]), "apps[0].init_commands[0] is 'migrate' (expected a list"),
    (app(init_commands=[["sleep", 5]]), "apps[0].init_commands[0][1] is 5 (expected a text)"),
    (app(schedules=[SCHEDULE | {"cron": "daily"}]), "apps[0].schedules[0].cron is 'daily'"),
    (app(liveness_path="healthz"), "apps[0].liveness_path is 'healthz' (expected a path"),
    (
        {"elk_retention_schedule": "every hour"},
        "elk_retention_schedule is 'every hour' (expected minute, hour",
    ),
    (
        {"elk_retention_schedule": "61 * * * *"},
        "elk_retention_schedule is '61 * * * *' (expected minute, hour",
    ),
    ({"alertmanager_quiet_hours": "22-7"}, "alertmanager_quiet_hours is '22-7' (expected the beginning"),
    ({"alertmanager_time_zone": "Berlin"}, "alertmanager_time_zone is 'Berlin' (expected a time zone"),
    (
        {"alertmanager_email": [{"to": "a@example.org", "smarthost": "smtp.example.org"}]},
        "alertmanager_email[0].smarthost is 'smtp.example.org' (expected a host and its port",
    ),
    (
        {"alertmanager_email": [{"to": "owner", "smarthost": "m.example.org:25"}]},
        "alertmanager_email[0].to is 'owner'",
    ),
    (
        {"alertmanager_slack": [{"url": "hooks.example/hush"}]},
        "alertmanager_slack[0].url is an invalid secret",
    ),
    (
        {"alertmanager_slack": ["https://hooks.example/hush"]},
        "alertmanager_slack[0] is an invalid secret",
    ),
    (
        {"alertmanager_telegram": [{"chat_id": 5, "token": ""}]},
        "alertmanager_telegram[0].token is an invalid secret",
    ),
    (
        {"welcome_mdns_name": "my.home.local"},
        "welcome_mdns_name is 'my.home.local' (expected one name under local",
    ),
    (
        {"disk_cleanup_alerts": ["disk nearly full"]},
        "disk_cleanup_alerts[0] is 'disk nearly full' (expected the name",
    ),
    (
        {"microk8s_extra_apiserver_args": {"--encryption-provider-config": None}},
        "a key of microk8s_extra_apiserver_args is '--encryption-provider-config' (expected a flag with",
    ),
    (
        {"microk8s_extra_kubelet_args": {"v": 5}},
        "a key of microk8s_extra_kubelet_args is 'v' (expected a flag with",
    ),
    (
        {"microk8s_extra_kubelet_args": {"--x": "a b"}},
        "microk8s_extra_kubelet_args.--x is 'a b' (expected a value without",
    ),
    (
        {"microk8s_registry_mirrors": {"docker.io": "mirror"}},
        "microk8s_registry_mirrors.docker.io is 'mirror' (expected",
    ),
    (
        {"microk8s_extra_sans": ["a b"]},
        "microk8s_extra_sans[0] is 'a b' (expected a host name or an address)",
    ),
    (
        {"prometheus_rules_extra": ["/nowhere.yml"]},
        "prometheus_rules_extra[0] is '/nowhere.yml' (expected the full path of a file",
    ),
    (
        {"prometheus_target_files": ["nas.yml"]},
        "prometheus_target_files[0] is 'nas.yml' (expected the full path of a file",
    ),
    ({"grafana_dashboards_extra": ["/nowhere.json"]}, "/nowhere.json cannot be read"),
    ({"elk_kibana_files": ["/nowhere.ndjson"]}, "/nowhere.ndjson cannot be read"),
    (
        {"elk_logstash_filters_extra": "mutate {"},
        "elk_logstash_filters_extra cannot be read by Logstash: 1 { without",
    ),
    # Relations.
    ({"homeserver_acme_email": "a@example.org"}, "ACME issues no certificate for a private domain"),
    (
        {"elk_retention_size_gib": 20},
        "elk_retention_size_gib is 20 (expected less than elk_elasticsearch_volume_size_gib",
    ),
    (
        {"elk_elasticsearch_heap_mib": 2000},
        "elk_elasticsearch_heap_mib is 2000 (expected at most three quarters",
    ),
    (
        {"elk_elasticsearch_volume_size_gib": 50},
        "together are 57 (expected at most homeserver_storage_budget_gib, 40)",
    ),
    (
        {"elk_elasticsearch_replicas": 3},
        "elk_snapshots_kept is 3 (expected 0, since elk_elasticsearch_replicas is 3)",
    ),
    (
        {"prometheus_retention_size_gib": 10},
        "prometheus_retention_size_gib is 10 (expected less than prometheus_volume",
    ),
    (
        {"prometheus_volume_size_gib": 50},
        "prometheus_volume_size_gib is 50 (expected at most homeserver_storage_budget_gib",
    ),
    ({"microk8s_image_gc_low_percent": 90}, "microk8s_image_gc_low_percent is 90 (expected less than"),
    ({"certificate_authority_days": 300}, "certificate_authority_leaf_days is 365 (expected less than"),
    ({"certificate_authority_leaf_days": 20}, "certificate_authority_renew_days is 60 (expected less than"),
    (
        {"homeserver_logging_enabled": False, "homeserver_tracing_enabled": True},
        "traces need the Elasticsearch",
    ),
    (
        {"homeserver_domain": "a.org", "homeserver_acme_email": "a@b.org", "traefik_acme_challenge": "dns"},
        "traefik_acme_dns_provider is empty, and traefik_acme_challenge is dns",
    ),
    (
        {"traefik_routes": [ROUTE, ROUTE | {"host": "b.home.arpa"}]},
        "traefik_routes[1] has the name 'nas', which traefik_routes[0] already has",
    ),
    ({"traefik_routes": [ROUTE, ROUTE | {"name": "b"}]}, "two routes for https://nas.home.arpa/"),
    (
        route(host="kibana.home.arpa"),
        "two routes for https://kibana.home.arpa/ (the one of this project's own kibana and",
    ),
    (route(host="jaeger.home.arpa"), "two routes for https://jaeger.home.arpa/"),
    (route(host="whoami.home.arpa"), "two routes for https://whoami.home.arpa/"),
    (app(name="grafana"), "two routes for https://grafana.home.arpa/"),
    (app(name="default-deny"), "apps[0] has the name 'default-deny', which this project already has"),
    ({"apps": [APP, APP | {"host": "b.org"}]}, "apps[1] has the name 'blog', which apps[0] already has"),
    (
        {"traefik_basic_auth_users": [{"name": "admin", "password": "hush"}]},
        "traefik_basic_auth_users[0] has the name",
    ),
    (
        {"traefik_basic_auth_users": [{"name": "a", "password": "é" * 40}]},
        "traefik_basic_auth_users[0].password has more",
    ),
    (app(autoscaling={"min": 5, "max": 2}), "apps[0].autoscaling.min is 5 (expected at most max, 2)"),
    (
        app(autoscaling={"min": 1, "max": 2}) | {"microk8s_metrics_server_enabled": False},
        "apps[0].autoscaling needs the metrics server",
    ),
    (
        {"apps": [APP, {"name": "b", "image": "b", "host": "blog.home.arpa"}]},
        "two routes for https://blog.home.arpa/ (blog in apps and b in apps)",
    ),
    (
        app(routes=[{}, {"host": "grafana.home.arpa"}]),
        "two routes for https://grafana.home.arpa/ (the one of this project's own grafana and blog in",
    ),
    (
        app(routes=[{}, {"path": "/"}]),
        "apps[0].routes[1] has the route 'blog.home.arpa', which apps[0].routes[0] already has",
    ),
    (
        {"apps": [APP | {"schedules": [SCHEDULE]}, APP | {"name": "blog-clean"}]},
        "apps[1] has the name 'blog-clean', which apps[0].schedules[0] already has",
    ),
    (
        app(name="b" * 50, schedules=[SCHEDULE]),
        "-clean' with the name of its app (expected at most 52 characters)",
    ),
    (
        app(volumes=[VOLUME, VOLUME | {"path": "/other", "size_gib": 9}]),
        "apps[0].volumes[1].size_gib is 9, and apps[0].volumes[0] is the same volume with another value",
    ),
    (
        app(volumes=[VOLUME, VOLUME | {"name": "other"}]),
        "apps[0].volumes[1] has the path '/data', which apps[0].volumes[0] already has",
    ),
    (
        app(volumes=[VOLUME | {"path": "/tmp"}]),
        "apps[0].volumes[0] has the path '/tmp', which this project already has",
    ),
    (app(needs=["db"]), "apps[0].needs[0] is 'db' (expected the name of another app)"),
    (app(needs=["blog"]), "apps[0].needs[0] is 'blog' (expected the name of another app)"),
    (app(port=0), "apps[0].port is 0, which is for an app without routes and without a probe of its port"),
    (app(port=0, probe="none"), "apps[0].port is 0, which is for an app without routes"),
    (app(port=0, routes=[]), "apps[0].port is 0, which is for an app without routes"),
    (
        {"apps": [APP | {"ports": [{"port": 1}]}, APP | {"name": "b", "ports": [{"port": 1}]}]},
        "apps[1].ports[0] has the port 'tcp 1', which apps[0].ports[0] already has",
    ),
    (app(ports=[{"port": 443}]), "apps[0].ports[0] has the port 'tcp 443', which this project already has"),
    (app(root=True, user=1000), "apps[0].user is 1000, and apps[0].root is true -> remove one of them"),
    (
        app(capabilities=["net_admin"]),
        "apps[0].capabilities[0] is 'net_admin' (expected a capability of Linux",
    ),
    (app(sysctls={"kernel.panic": 1}), "apps[0].sysctls"),
    (app(files={"conf": "a"}), "apps[0].files"),
    (
        app(files={"/data": "a"}, volumes=[VOLUME]),
        "apps[0].files has the path '/data', which apps[0].volumes[0]",
    ),
    (app(probe="command"), "apps[0].probe is command, and probe_command is empty -> name the command"),
    (
        app(volumes=[VOLUME | {"place": "/srv/media"}]),
        "apps[0].volumes[0].place is '/srv/media' (expected a directory in apps_host_directories, which",
    ),
    (
        app(volumes=[VOLUME | {"place": "/srv/../etc"}]) | {"apps_host_directories": {"home": ["/srv"]}},
        "apps[0].volumes[0].place is '/srv/../etc' (expected an absolute path without ..",
    ),
    (
        app(volumes=[VOLUME | {"subdirectory": "../other"}]),
        "apps[0].volumes[0].subdirectory is '../other' (expected a path in the volume without ..",
    ),
    (
        app(stack="one", volumes=[VOLUME | {"app": "web"}]),
        "apps[0].volumes[0].app is 'web' (expected an app of the same stack with a volume 'data')",
    ),
    ({"imported_apps_wiki": [APP | {"user": 0}]}, "imported_apps_wiki[0].user is 0"),
    # The catalogue.
    ({"apps": [{"from": "minifluks"}]}, "apps[0].from is 'minifluks' (expected one of adguard-home, "),
    ({"apps": [{"from": "miniflux", "stack": "a"}]}, "apps[0] has from and stack (expected one of them)"),
    ({"apps": [{"image": "a"}]}, "apps[0] has none of name and from (expected one of them)"),
    ({"apps": [{"from": "miniflux", "prt": 1}]}, "unknown key apps[0].prt -> did you mean port?"),
    ({"apps": [{"from": "miniflux", "name": "My news"}]}, "apps[0].name is 'My news' (expected"),
    ({"apps": [{"from": "zigbee2mqtt"}]}, "apps[0].needs[0] is 'mosquitto' (expected the name of"),
    (
        {"apps": [{"from": "miniflux"}, APP | {"needs": ["db"]}]},
        "apps[1].needs[0] is 'db' (expected the name of another app)",
    ),
    (
        {"apps": [{"from": "jellyfin", "volumes": [{"name": "medai", "size_gib": 9}]}]},
        "apps[0].volumes: 'medai' has no path (expected a path, or the name of a volume of jellyfin",
    ),
    (
        {"apps": [{"from": "miniflux", "parts": {"db": {"prt": 1}}}]},
        "unknown key apps[0].parts.db.prt -> did you mean port?",
    ),
    (
        {"apps": [{"from": "miniflux", "parts": {"db": {"secrets": {"PASSWORD": 1234}}}}]},
        "apps[0].parts.db.secrets.PASSWORD is an invalid secret (expected a text)",
    ),
    (
        {"apps": [{"from": "miniflux", "parts": {"db": {"name": "rows"}}}]},
        "apps[0].parts.db has the key 'name' (expected a key that leaves it the app that it is)",
    ),
    (
        {"apps": [{"from": "miniflux", "parts": {"database": {"user": 70}}}]},
        "apps[0].parts has the key 'database' (expected one of db) -> name another app of its stack",
    ),
    (app(parts={"db": {}}), "apps[0].parts has the key 'db' (expected no parts: it is an app of its own)"),
    (
        {"apps": [{"from": "miniflux", "parts": {"db": {"volumes": [{"name": "dat"}]}}}]},
        "apps[0].parts.db.volumes: 'dat' has no path (expected a path, or the name of a volume of miniflux-",
    ),
    (app(volumes=[{"name": "data"}]), "apps[0].volumes: 'data' has no path (expected a path) -> set path"),
    (app(metrics_port=8000), "apps[0].metrics_port is 8000, the same as its port"),
    (
        {"prometheus_scrape_configs": [{"job_name": "node"}]},
        "prometheus_scrape_configs[0].job_name is 'node', as for",
    ),
    (
        {
            "prometheus_rules_extra": [
                f"{ROOT}/tests/rules/apps.yml",
                f"{ROOT}/roles/prometheus/files/rules/apps.yml",
            ]
        },
        "prometheus_rules_extra[1] has the file name 'apps', which prometheus_rules_extra[0] already has",
    ),
    (
        {"prometheus_probes": [{"target": "192.168.1.20"}]},
        "prometheus_probes[0].target is '192.168.1.20' (expected a URL",
    ),
    (
        {"prometheus_probes": [{"target": "nas", "module": "tcp"}]},
        "prometheus_probes[0].target is 'nas' (expected a host",
    ),
    (
        {
            "prometheus_target_files": [
                f"{ROOT}/roles/prometheus/vars/main.yml",
                f"{ROOT}/roles/elk/meta/main.yml",
            ]
        },
        "prometheus_target_files[1] has the file name 'main.yml', which prometheus_target_files[0] already",
    ),
    (
        {"alertmanager_quiet_hours": "22:00-22:00"},
        "alertmanager_quiet_hours is '22:00-22:00': it ends at the time it starts",
    ),
    (
        {"backup_repositories": [{"name": "nas", "location": "nas:/home"}]},
        "backup_repositories[0].location",
    ),
    (app(devices=["ttyUSB0"]), "apps[0].devices[0] is 'ttyUSB0' (expected a path below /dev"),
    (app(devices=["/dev"]), "apps[0].devices[0] is '/dev' (expected a path below /dev"),
    (app(devices=["/dev/../etc"]), "apps[0].devices[0] is '/dev/../etc' (expected a path below /dev"),
    (app(devices=["/dev/mem"]), "apps[0].devices[0] is '/dev/mem' (expected a path below /dev"),
    (app(devices=["/dev/a:b"]), "apps[0].devices[0] is '/dev/a:b' (expected a path below /dev"),
    (app(groups=[0]), "apps[0].groups[0] is 0 (expected a whole number from 1"),
    (app(gpu="voodoo"), "apps[0].gpu is 'voodoo' (expected one of intel, amd, nvidia)"),
    (
        app(devices=["/dev/ttyUSB0", "/dev/serial/by-id/x:/dev/ttyUSB0"]),
        "apps[0].devices has the path '/dev/ttyUSB0', which apps[0].devices already has",
    ),
    (
        {
            "apps": [
                APP | {"devices": ["/dev/ttyUSB0"]},
                APP | {"name": "b", "devices": ["/dev/ttyUSB0:/dev/x"]},
            ]
        },
        "apps[1].devices: /dev/ttyUSB0 is a serial port, which only one program can use, and apps[0] uses it",
    ),
    (
        app(devices=["/dev/dri"]) | {"homeserver_version_overrides": {"microk8s_channel": "1.34/stable"}},
        "apps[0] uses devices, and microk8s_channel is '1.34/stable' (expected 1.35 or later)",
    ),
    (
        app(devices=["/dev/ttyUSB0"], replicas=2),
        "apps[0].devices: /dev/ttyUSB0 is a serial port, which only one program can use, and the app has",
    ),
    (
        app(backup={"preset": "mariadb"}),
        "apps[0].backup.preset is 'mariadb', and the app has no volume for the dump",
    ),
    (
        {"backup_schedule": "25:00"},
        "backup_schedule is '25:00' (expected a time that comes again, as OnCalendar of systemd takes it",
    ),
    (
        {"backup_repositories": [{"name": "nas", "location": "/a"}, {"name": "nas", "location": "/b"}]},
        "backup_repositories[1] has the name 'nas', which backup_repositories[0] already has",
    ),
    (
        {"backup_repositories": [{"name": "nas", "location": "/a"}], "backup_keep": {}},
        "backup_keep keeps nothing -> keep at least one copy",
    ),
    (
        {"backup_repositories": [{"name": "nas", "location": "/a"}], "backup_prune_from": "control"},
        "backup_repositories[0] has no prune, and backup_prune_from is 'control' -> set how",
    ),
    (
        {"grafana_elasticsearch_user": "me"},
        "one of grafana_elasticsearch_user and grafana_elasticsearch_password",
    ),
]
INNOCENT = {"my_traefik_routes": 2, "traffic_light": True, "vault_token": "x", "elasticsearch_version": 8}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What preflight tells about each host, which has one mistake; none of them can be reached."""
    inventory = tmp_path_factory.mktemp("mistakes") / "inventory"
    inventory.mkdir()
    hosts = {f"m{number}": variables for number, (variables, _) in enumerate(MISTAKES)}
    nowhere = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
    hosts["former"] = {"flask_app_apps": FITTING, "flask_app_state": "present"}
    groups = {
        "control_plane": {"hosts": {"fine": nowhere | INNOCENT | {"apps": FITTING}}},
        "workers": {"hosts": {name: nowhere | variables for name, variables in hosts.items()}},
    }
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (inventory / "hosts.yml").write_text(json.dumps(tree))
    done = play("-i", str(inventory), "--forks", "20", "playbooks/stages/preflight.yml")
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert "hush" not in done.stdout
    # The list of problems is printed twice: as the error, and as the result.
    lines = done.stdout.partition("msg: |-")[2].splitlines()
    found: dict[str, list[str]] = {name: [] for name in ("fine", *hosts)}
    for line in lines:
        names, _, problem = line.strip().partition(": ")
        for name in names.split(", ") if " -> " in problem else []:
            if "cannot be reached" not in problem:
                found[name].append(problem)
    return found


@pytest.mark.parametrize(
    "number", range(len(MISTAKES)), ids=lambda number: f"{number}-{'-'.join(MISTAKES[number][0])}"
)
def test_one_mistake_is_told_in_one_message(told: dict[str, list[str]], number: int) -> None:
    (problem,) = told[f"m{number}"]

    assert MISTAKES[number][1] in problem
    assert problem.partition(" -> ")[2]


def test_an_owners_own_variables_are_none_of_its_business(told: dict[str, list[str]]) -> None:
    assert told["fine"] == []


def test_former_names_that_still_work_are_no_problem(told: dict[str, list[str]]) -> None:
    assert told["former"] == []
