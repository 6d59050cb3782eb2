"""The manifests and configurations of the role tracing."""

from pathlib import Path
from typing import Any

import pytest

from harness.rendering import Object, find
from harness.tracing_role import Role


def _policies(configuration: dict[str, Any]) -> dict[str, Any]:
    policies: list[dict[str, Any]] = configuration["processors"]["tail_sampling"]["policies"]
    return {policy["name"]: policy for policy in policies}


def test_failed_and_slow_requests_are_always_kept(tmp_path: Path) -> None:
    policies = _policies(
        Role(tmp_path, tracing_sample_percent=0, tracing_slow_request_milliseconds=250).configuration(
            "collector"
        )
    )

    assert policies["slow"]["latency"] == {"threshold_ms": 250}
    assert "STATUS_CODE_ERROR" in policies["failed"]["ottl_condition"]["span"][0]
    (share, limit) = policies["others"]["and"]["and_sub_policy"]
    assert share["probabilistic"] == {"sampling_percentage": 0}
    assert limit["rate_limiting"] == {"spans_per_second": 100}


def test_the_former_name_of_the_limit_still_works(tmp_path: Path) -> None:
    policies = _policies(Role(tmp_path, tracing_spans_per_second=7).configuration("collector"))

    (_, limit) = policies["others"]["and"]["and_sub_policy"]
    assert limit["rate_limiting"] == {"spans_per_second": 7}


def test_the_memory_limiter_is_the_first_processor(tmp_path: Path) -> None:
    pipelines = Role(tmp_path).configuration("collector")["service"]["pipelines"]

    assert {
        pipeline["processors"][0] for name, pipeline in pipelines.items() if name.startswith("traces")
    } == {"memory_limiter"}


def test_spans_are_counted_before_sampling(tmp_path: Path) -> None:
    pipelines = Role(tmp_path).configuration("collector")["service"]["pipelines"]

    assert pipelines["traces/measured"]["exporters"] == ["span_metrics"]
    assert "tail_sampling" not in pipelines["traces/measured"]["processors"]


@pytest.mark.parametrize("program", ["collector", "jaeger"])
def test_a_program_collects_garbage_below_its_memory_limit(tmp_path: Path, program: str) -> None:
    objects = Role(tmp_path, **{f"tracing_{program}_memory_limit_mib": 200}).manifests()
    (container,) = find(objects, "Deployment", program)["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}

    assert container["resources"]["limits"] == {"memory": "200Mi"}
    assert environment["GOMEMLIMIT"] == "180MiB"


def test_the_collector_refuses_spans_below_its_memory_limit(tmp_path: Path) -> None:
    limiter = Role(tmp_path, tracing_collector_memory_limit_mib=200).configuration("collector")["processors"][
        "memory_limiter"
    ]

    assert (limiter["limit_mib"], limiter["spike_limit_mib"]) == (160, 40)


def test_the_collector_may_only_read_pods(tmp_path: Path) -> None:
    role = find(Role(tmp_path).manifests(), "ClusterRole", "tracing-collector")

    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_jaeger_requires_the_password(tmp_path: Path) -> None:
    (rule,) = find(Role(tmp_path).manifests(), "IngressRoute", "jaeger")["spec"]["routes"]

    assert rule["match"] == "Host(`jaeger.home.arpa`)"
    assert "admin-auth" in [middleware["name"] for middleware in rule["middlewares"]]


def _elasticsearch(state: Path, **variables: Any) -> Object:
    backends = Role(state, **variables).configuration("jaeger")["extensions"]["jaeger_storage"]["backends"]
    found: Object = backends["elasticsearch"]["elasticsearch"]
    return found


def test_jaeger_trusts_the_homes_authority_and_has_its_own_user(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets/home"
    secrets.mkdir(parents=True)
    (secrets / "ca.crt").write_text("the authority's certificate")
    (secrets / "elasticsearch_jaeger.password").write_text("not-a-secret")
    objects = Role(tmp_path).manifests()

    assert _elasticsearch(tmp_path)["server_urls"] == ["https://elasticsearch.logging:9200"]
    assert _elasticsearch(tmp_path)["auth"]["basic"]["username"] == "jaeger"
    assert find(objects, "ConfigMap", "jaeger")["data"]["ca.crt"] == "the authority's certificate"
    assert "not-a-secret" not in str(find(objects, "ConfigMap", "jaeger"))
    assert find(objects, "Secret", "jaeger")["stringData"] == {"password": "not-a-secret"}


@pytest.mark.parametrize(("nodes", "replicas"), [(1, 0), (3, 1)])
def test_an_index_has_a_replica_if_there_is_a_second_node(tmp_path: Path, nodes: int, replicas: int) -> None:
    indices = _elasticsearch(tmp_path, elk_elasticsearch_replicas=nodes)["indices"]

    assert {index["replicas"] for index in indices.values()} == {replicas}


def test_without_logs_tracing_is_removed(tmp_path: Path) -> None:
    runs = "homeserver_enabled.tracing"

    assert not Role(tmp_path, homeserver_logging_enabled=False).value(runs)
    assert not Role(tmp_path, homeserver_tracing_enabled=False).value(runs)
    assert Role(tmp_path).value(runs)
