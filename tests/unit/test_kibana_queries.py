"""Kibana's queries, sent to a real Elasticsearch: each has a result."""

import re

import pytest
import vl_convert

from harness import logged
from harness.elk_role import Store
from harness.kibana import Object, Question, fields, questions, read, specification
from tools import pictures

OBJECTS = read()
QUESTIONS = list(questions(OBJECTS))
PANELS = [each for each in OBJECTS if each["type"] == "visualization" and specification(each)]

every_question = pytest.mark.parametrize("question", QUESTIONS, ids=str)


@every_question
def test_each_query_has_a_result(lines: Store, question: Question) -> None:
    answer = lines.user("grafana").post(f"{question.indices}/_search", question.body)

    assert answer["hits"]["total"]["value"] > 0
    assert answer["_shards"]["failed"] == 0
    assert question.found(answer)


@every_question
def test_every_field_in_a_query_is_mapped(lines: Store, question: Question) -> None:
    asked = fields(question)
    known = lines.user("grafana").get(f"{question.indices}/_field_caps?fields={','.join(sorted(asked))}")[
        "fields"
    ]

    assert asked <= known.keys()


def test_a_request_is_found_by_the_id_that_its_user_saw(lines: Store) -> None:
    (asked,) = [question for question in QUESTIONS if question.asker == "Lines of the request"]
    chosen = {"term": {"trace.id": logged.TRACE}}
    narrowed = asked.body | {"query": {"bool": {"filter": [asked.body["query"], chosen]}}}

    answer = lines.user("grafana").post(f"{asked.indices}/_search", narrowed)

    shown = [hit["fields"] for hit in asked.found(answer)]
    assert {line["event.dataset"][0] for line in shown} == {"traefik", "app"}
    assert any("RuntimeError" in line.get("error.stack_trace", [""])[0] for line in shown)


@pytest.mark.parametrize("panel", PANELS, ids=lambda each: each["attributes"]["title"])
def test_each_result_is_drawn(lines: Store, panel: Object) -> None:
    (asked,) = [question for question in QUESTIONS if question.asker == panel["attributes"]["title"]]
    answer = lines.user("grafana").post(f"{asked.indices}/_search", asked.body)
    # The only available version with the same major version as Kibana's.
    drawing = (specification(panel) or {}) | {"data": {"values": asked.found(answer)}}

    picture = vl_convert.vegalite_to_svg(drawing, vl_version="5.20")

    assert re.search(r'aria-roledescription="(bar|line mark|point|rect mark)"', picture)
    assert not re.search("undefined|NaN|>null<", picture)


def test_a_dashboard_is_drawn_for_the_documentation(lines: Store) -> None:
    page, height = pictures.dashboard_page("Traffic", lines.user("grafana").post)

    assert page.count("<svg") == page.count("<h2>") == 6
    assert height == 900
    assert not re.search("undefined|NaN|>null<", page)
