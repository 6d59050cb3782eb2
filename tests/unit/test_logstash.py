"""Logstash's pipelines are what it can read, and an owner's filters are read before they are applied."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter.logstash import logstash_flaw, pkcs8
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from logstash_pipeline_parser import Pipeline

from tests.unit.filebeat import Role as Filebeat
from tests.unit.rendering import ROOT, Role, find

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
def test_logstash_reads_its_pipelines(tmp_path: Path, name: str, filters: str) -> None:
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


def test_lines_come_over_tls_and_are_kept_once(tmp_path: Path) -> None:
    (_, inputs), *_, (_, outputs) = _sections(_files(tmp_path)["lines.conf"])

    assert _plugin(inputs, "beats")["ssl_enabled"] is True
    assert _plugin(outputs, "elasticsearch")["document_id"] == "%{[@metadata][_id]}"
    assert _plugin(outputs, "elasticsearch")["index"] == "%{[@metadata][alias]}"


def test_every_pipeline_is_run_and_waits_on_disk(tmp_path: Path) -> None:
    files = _files(tmp_path, elk_logstash_queue_size_gib=3)
    lines, invalid = yaml.safe_load(files["pipelines.yml"])

    assert {Path(each["path.config"]).name for each in (lines, invalid)} == {"lines.conf", "invalid.conf"}
    assert (lines["queue.type"], lines["queue.max_bytes"]) == ("persisted", "3gb")
    assert lines["dead_letter_queue.enable"] is True
    # What is refused there as well would go round and round.
    assert "dead_letter_queue.enable" not in invalid
    (_, inputs), *_ = _sections(files["invalid.conf"])
    assert _plugin(inputs, "dead_letter_queue")["pipeline_id"] == lines["pipeline.id"]


def test_the_volume_holds_the_queue_and_more(tmp_path: Path) -> None:
    objects = Filebeat(tmp_path, elk_logstash_queue_size_gib=3).objects(["logstash.yaml.j2"])
    claim = find(objects, "PersistentVolumeClaim", "logstash")

    assert claim["spec"]["resources"]["requests"]["storage"] == "4Gi"


@pytest.mark.parametrize("logstash", [True, False])
def test_what_sends_to_elasticsearch_waits_until_there_is_an_index(tmp_path: Path, logstash: bool) -> None:
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


def test_without_logstash_nothing_of_it_is_applied(tmp_path: Path) -> None:
    assert Role("elk", tmp_path, elk_logstash_enabled=False).value("_elk_logstash_templates") == []


def test_filebeat_sends_to_one_of_the_two(tmp_path: Path) -> None:
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
        ("mutate { }\n}", "line 2: a } ends what no { has begun"),
        # It would end the section and begin others.
        ("} output { stdout { } } filter {", "line 1: a } ends what no { has begun"),
        ('mutate { }\nmutate { add_tag => ["x] }', 'line 2: the text that begins with " does not end'),
        ("mutate { }\n\nmutate { add_tag => }", "line 3: mutate { add_tag => }"),
        ("drop { }\nif [a { drop { } }\ndrop { }", "line 2: if [a { drop { } }"),
        ("nonsense", "line 1: nonsense"),
        ("drop { }\nmutate", "line 2: mutate"),
    ],
)
def test_filters_that_cannot_be_read_are_told_by_their_line(filters: str, flaw: str) -> None:
    assert logstash_flaw(filters) == flaw


def test_a_run_ends_before_anything_is_applied(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(
        json.dumps([{"hosts": "control_plane[0]", "gather_facts": False, "roles": ["homeserver.stack.elk"]}])
    )
    command = ["ansible-playbook", "--check", "-i", "tests/inventories/defaults", str(playbook)]
    given = {"homeserver_state_dir": str(tmp_path), "elk_logstash_filters_extra": "mutate { add_tag => }"}
    done = subprocess.run(
        [*command, "-e", json.dumps(given)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stdout
    assert (
        "elk_logstash_filters_extra cannot be read by Logstash: line 1: mutate { add_tag => }." in done.stdout
    )
    assert "changed=0" in done.stdout


def test_a_key_gets_the_form_that_logstash_reads() -> None:
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
