"""Logstash's pipelines are valid, and an owner's filters are checked before they are applied."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter.logstash import pkcs8
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import logstash_filters
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from logstash_pipeline_parser import Pipeline

from harness.filebeat import Role as Filebeat
from harness.rendering import Role, find

FILTERS = """
# What is } here { is a comment, and "so is this
if [kubernetes][namespace] == "toys" and [message] =~ /^noise/ {
  drop { }
} else if "x" in [tags] {
  mutate { add_tag => ["a } brace"] }
} else {
  mutate { rename => { "[json][id]" => "[labels][id]" } }
}
mutate { remove_field => ["stream"] }
"""


def _files(state: Path, **variables: Any) -> dict[str, str]:
    files: dict[str, str] = Role("elk", state, **variables).value("_elk_logstash_files")
    return files


def _sections(pipeline: str) -> list[tuple[str, list[Any]]]:
    return [(name, plugins) for name, plugins in Pipeline(pipeline).parse()]


def _plugin(plugins: list[Any], name: str) -> dict[str, Any]:
    (options,) = [options for plugin, options in plugins if plugin == name]
    return {option: values[0] if len(values) == 1 else values for option, values in options}


@pytest.mark.parametrize("filters", ["", FILTERS])
@pytest.mark.parametrize("name", ["lines.conf", "invalid.conf"])
def test_logstash_can_read_its_pipelines(tmp_path: Path, name: str, filters: str) -> None:
    sections = _sections(_files(tmp_path, elk_logstash_filters_extra=filters)[name])

    assert [section for section, _ in sections] == (
        ["input", "filter", "filter", "output"]
        if filters and name == "lines.conf"
        else ["input", "filter", "output"]
    )
    output = _plugin(sections[-1][1], "elasticsearch")
    assert output["action"] == "create"
    assert (output["manage_template"], output["ilm_enabled"], output["data_stream"]) == (False, False, False)
    assert output["password"] == "${ELASTICSEARCH_PASSWORD}"


def test_it_drops_nothing_of_itself(tmp_path: Path) -> None:
    """Filebeat does, where it is tested for real."""
    assert not [text for text in _files(tmp_path).values() if "drop {" in text]


def test_lines_arrive_over_tls_and_are_stored_once(tmp_path: Path) -> None:
    (_, inputs), *_, (_, outputs) = _sections(_files(tmp_path)["lines.conf"])

    assert _plugin(inputs, "beats")["ssl_enabled"] is True
    assert _plugin(outputs, "elasticsearch")["document_id"] == "%{[@metadata][_id]}"
    assert _plugin(outputs, "elasticsearch")["index"] == "%{[@metadata][alias]}"


def test_every_pipeline_runs_with_a_queue_on_disk(tmp_path: Path) -> None:
    files = _files(tmp_path, elk_logstash_queue_size_gib=3)
    lines, invalid = yaml.safe_load(files["pipelines.yml"])

    assert {Path(each["path.config"]).name for each in (lines, invalid)} == {"lines.conf", "invalid.conf"}
    assert (lines["queue.type"], lines["queue.max_bytes"]) == ("persisted", "3gb")
    assert lines["dead_letter_queue.enable"] is True
    # Lines that are refused there, too, would loop.
    assert "dead_letter_queue.enable" not in invalid
    (_, inputs), *_ = _sections(files["invalid.conf"])
    assert _plugin(inputs, "dead_letter_queue")["pipeline_id"] == lines["pipeline.id"]


def test_the_volume_is_larger_than_the_queue(tmp_path: Path) -> None:
    role = Filebeat(tmp_path, elk_logstash_enabled=True, elk_logstash_queue_size_gib=3)
    objects = role.objects(["logstash.yaml.j2"])
    claim = find(objects, "PersistentVolumeClaim", "logstash")

    assert claim["spec"]["resources"]["requests"]["storage"] == "4Gi"


@pytest.mark.parametrize(("limit", "heap", "direct"), [(1280, 512, 256), (768, 170, 85)])
def test_its_memory_holds_the_heap_and_what_is_beside_it(
    tmp_path: Path, limit: int, heap: int, direct: int
) -> None:
    objects = Filebeat(tmp_path, elk_logstash_enabled=True, elk_logstash_memory_limit_mib=limit).objects(
        ["logstash.yaml.j2"]
    )
    (container,) = find(objects, "StatefulSet", "logstash")["spec"]["template"]["spec"]["containers"]
    (java,) = [each["value"] for each in container["env"] if each["name"] == "LS_JAVA_OPTS"]

    assert java == f"-Xms{heap}m -Xmx{heap}m -XX:MaxDirectMemorySize={direct}m"
    assert container["resources"]["limits"]["memory"] == f"{limit}Mi"
    # Classes and compiled code take some 300 MiB, and each thread has a stack.
    assert limit - heap - direct >= 500


@pytest.mark.parametrize("logstash", [True, False])
def test_the_sender_waits_for_elasticsearchs_indices(tmp_path: Path, logstash: bool) -> None:
    role = Filebeat(tmp_path, elk_logstash_enabled=logstash)
    pods = {
        obj["metadata"]["name"]: obj["spec"]["template"]["spec"]
        for obj in role.objects(["filebeat.yaml.j2", "logstash.yaml.j2"])
        if obj["kind"] in ("DaemonSet", "StatefulSet")
    }
    sender = "logstash" if logstash else "filebeat"
    (waiting,) = pods[sender]["initContainers"]

    assert waiting["args"] == ["ready"]
    assert {"name": "ELASTICSEARCH_USER", "value": sender} in waiting["env"]
    assert {mount["name"] for mount in waiting["volumeMounts"]} <= {
        volume["name"] for volume in pods[sender]["volumes"]
    }
    assert ("initContainers" in pods["filebeat"]) is not logstash


def test_without_logstash_none_of_its_objects_are_applied(tmp_path: Path) -> None:
    assert Role("elk", tmp_path, elk_logstash_enabled=False).objects(["logstash.yaml.j2"]) == []


def test_filebeat_sends_to_logstash_or_elasticsearch(tmp_path: Path) -> None:
    to_logstash = Filebeat(tmp_path, elk_logstash_enabled=True).configuration()
    to_elasticsearch = Filebeat(tmp_path).configuration()

    assert "output.elasticsearch" not in to_logstash
    assert to_logstash["output.logstash"]["hosts"] == ["logstash.logging:5044"]
    assert to_logstash["output.logstash"]["ssl.certificate_authorities"] == ["/etc/home-ca/ca.crt"]
    assert "output.logstash" not in to_elasticsearch
    # Nothing else differs.
    assert {key: value for key, value in to_logstash.items() if not key.startswith("output.")} == {
        key: value for key, value in to_elasticsearch.items() if not key.startswith("output.")
    }


@pytest.mark.parametrize(
    ("filters", "flaw"),
    [
        ("", ""),
        (FILTERS, ""),
        ("mutate { add_tag => ['x'] }", ""),
        ("mutate {", "1 { without its }"),
        ("mutate { }\n}", "line 2: a } has no matching {"),
        # It would end the section and begin others.
        ("} output { stdout { } } filter {", "line 1: a } has no matching {"),
        ('mutate { }\nmutate { add_tag => ["x] }', 'line 2: the text that begins with " does not end'),
        ("mutate { }\n\nmutate { add_tag => }", "line 3: mutate { add_tag => }"),
        ("drop { }\nif [a { drop { } }\ndrop { }", "line 2: if [a { drop { } }"),
        ("nonsense", "line 1: nonsense"),
        ("drop { }\nmutate", "line 2: mutate"),
    ],
)
def test_invalid_filters_are_reported_with_their_line(filters: str, flaw: str) -> None:
    assert logstash_filters.flaw(filters) == flaw


def test_a_key_is_converted_to_the_format_of_logstash() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    given = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()

    assert given.startswith("-----BEGIN EC PRIVATE KEY-----")
    assert pkcs8(given).startswith("-----BEGIN PRIVATE KEY-----")
    again = serialization.load_pem_private_key(pkcs8(given).encode(), None)
    assert isinstance(again, ec.EllipticCurvePrivateKey)
    assert again.private_numbers() == key.private_numbers()
