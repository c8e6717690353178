"""The pages: complete without JavaScript, never "healthy", nothing inline."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from app import web
from app.presentation import (
    DECISION_WORDS,
    figure_words,
    level_marks,
    percent_words,
    present,
    threshold_words,
)
from app.reading import Reading
from app.settings import PROJECT_ROOT
from cxr.calibrate import Thresholds
from tests.app.conftest import ADULTS, CHILDREN
from tests.app.multipart import multipart
from tests.app.test_errors import BROWSER
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg

PAGES = ["/", "/models", f"/models/{CHILDREN}", "/docs", "/nothing"]


def result_page(client: FlaskClient, data: bytes, **form: str) -> str:
    response = client.post("/", **multipart(data, **form))
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    return response.get_data(as_text=True)


def test_the_form_asks_for_the_patient_not_for_a_model(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    assert re.search(rf'name="model" value="{CHILDREN}"[^>]*>\s*<span><strong>Child<', page)
    assert re.search(rf'name="model" value="{ADULTS}"[^>]*>\s*<span><strong>Adult<', page)
    assert page.index("Child<") < page.index("Adult<")
    assert 'enctype="multipart/form-data"' in page
    assert 'accept=".dcm' in page


def test_the_result_page_says_all_that_a_reader_needs(client: FlaskClient, jpeg: bytes) -> None:
    reading = client.post(f"/predict?model={ADULTS}", data=jpeg, content_type="image/jpeg").json
    page = result_page(client, jpeg, model=ADULTS)
    assert f'<h1 id="decision">{DECISION_WORDS[reading["decision"]]}</h1>' in page
    levels = reading["thresholds"]
    assert (
        figure_words(reading["infection_probability"], levels["rule_out"], levels["rule_in"])
        in page
    )
    assert f"Most probable: <strong>{reading['finding']}</strong>" in page
    for label in reading["probabilities"]:
        assert f'<th scope="row">{label}</th>' in page
    assert "below 30%" in page
    assert "from 70%" in page
    assert f'href="/models/{ADULTS}"' in page
    assert "0.0.1" in page
    assert "Research use only. Not a medical device." in page
    assert page.count("data:image/png;base64,") == 2
    assert re.search(r"<dt>Time taken</dt><dd>(\d+|under 1) ms", page)
    assert re.search(rf'value="{ADULTS}" required checked', page)


def test_the_page_and_the_api_say_the_same_of_a_large_film(client: FlaskClient, app: Flask) -> None:
    data = encode_jpeg(chest_phantom(2048))
    predictor = app.extensions["registry"].predictor
    assert (
        predictor.read(data).probabilities
        == predictor.read(data, heatmap="overlay", with_film=True).probabilities
    )


def test_no_map_is_drawn_where_no_sign_is_found_unless_asked(
    client: FlaskClient, app: Flask, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = app.extensions["registry"].predictor.bundles
    normal = replace(bundles[ADULTS], thresholds=Thresholds(0.98, 0.99))
    monkeypatch.setitem(bundles, ADULTS, normal)
    page = result_page(client, jpeg, model=ADULTS)
    assert page.count("data:image/png;base64,") == 1
    assert "No heatmap" in page
    asked = result_page(client, jpeg, model=ADULTS, map="always")
    assert asked.count("data:image/png;base64,") == 2
    assert "No heatmap" not in asked


def test_warnings_are_shown_in_words(client: FlaskClient) -> None:
    data = encode_dicom(chest_phantom(300).astype(np.uint16) * 257, fields={"PatientAge": "071Y"})
    page = result_page(client, data, model=CHILDREN)
    assert "The patient&#39;s age does not fit" in page
    assert "71 years" in page


@pytest.mark.parametrize("address", PAGES)
def test_no_page_needs_what_the_policy_forbids(client: FlaskClient, address: str) -> None:
    page = client.get(address, headers=BROWSER).get_data(as_text=True)
    assert "<!doctype html>" in page
    assert " style=" not in page
    assert "<style" not in page
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"\son\w+=", page) == []
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//', page) == []


def test_a_result_needs_nothing_forbidden_either(client: FlaskClient, jpeg: bytes) -> None:
    page = result_page(client, jpeg)
    assert " style=" not in page
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []


def test_no_template_calls_anyone_healthy() -> None:
    for path in (PROJECT_ROOT / "templates").glob("*.html"):
        assert "healthy" not in path.read_text("utf-8").lower()
    assert not any("healthy" in words.lower() for words in DECISION_WORDS.values())


def test_the_sample_is_read_by_the_adults_model(client: FlaskClient) -> None:
    assert 'action="/sample"' in client.get("/").get_data(as_text=True)
    response = client.post("/sample")
    assert response.status_code == 200
    page = response.get_data(as_text=True)
    assert f'href="/models/{ADULTS}"' in page
    assert "1841 × 1955 pixels" in page
    assert "<strong>Sample.</strong>" in page


def test_without_the_package_no_sample_is_offered(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "sample_path", lambda: None)
    assert "/sample" not in client.get("/").get_data(as_text=True)
    assert client.post("/sample").status_code == 404


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "under 1%"), (0.004, "under 1%"), (0.42, "42%"), (0.994, "99%"), (1.0, "over 99%")],
)
def test_no_probability_is_called_certain(probability: float, words: str) -> None:
    assert percent_words(probability) == figure_words(probability, 0.3, 0.7) == words


@given(
    rule_out=st.floats(0.01, 0.9),
    gap=st.floats(0.002, 0.09),
    near=st.one_of(st.floats(-0.004, 0.004), st.floats(-0.5, 0.5)),
    at_rule_in=st.booleans(),
)
@example(rule_out=0.0969, gap=0.09, near=-0.0003, at_rule_in=False)  # "10%", "below 9.7%"
@example(rule_out=0.0974, gap=0.09, near=-0.00005, at_rule_in=False)
def test_the_figure_lies_on_the_side_of_each_threshold_that_was_decided(
    rule_out: float, gap: float, near: float, at_rule_in: bool
) -> None:
    rule_in = rule_out + gap
    probability = min(max((rule_in if at_rule_in else rule_out) + near, 0.0051), 0.9949)
    figure = float(figure_words(probability, rule_out, rule_in).rstrip("%"))
    for level in (rule_out, rule_in):
        assert (figure < float(threshold_words(level).rstrip("%"))) == (probability < level)
    assert abs(figure - 100 * probability) <= 0.51


def test_thresholds_keep_one_decimal_where_they_need_it() -> None:
    assert [threshold_words(t) for t in (0.12, 0.615, 0.1)] == ["12%", "61.5%", "10%"]


@pytest.mark.parametrize(
    ("rule_out", "rule_in"), [(0.12, 0.61), (0.02, 0.06), (0.9, 0.95), (0.4, 0.45), (0.01, 0.99)]
)
def test_the_words_of_the_thresholds_never_meet(rule_out: float, rule_in: float) -> None:
    left, right = level_marks(rule_out, rule_in)
    if left.y == right.y:
        if left.anchor == right.anchor:
            assert right.percent - left.percent >= 15
        else:
            assert (left.anchor, right.anchor) != ("start", "end") or rule_in - rule_out > 0.3


def test_the_scale_and_the_bars_show_the_figures(app: Flask, jpeg: bytes) -> None:
    reading: Reading = replace(
        app.extensions["registry"].predictor.read(jpeg, CHILDREN),
        infection_probability=0.8,
        finding="Viral pneumonia",
        probabilities={"Normal": 0.2, "Bacterial pneumonia": 0.1, "Viral pneumonia": 0.7},
    )
    shown = present(reading)
    assert (shown.rule_out_percent, shown.rule_in_percent, shown.marker_percent) == (30, 70, 80)
    assert [(bar.label, bar.words, bar.percent, bar.is_finding) for bar in shown.classes] == [
        ("Viral pneumonia", "70%", 70, True),
        ("Normal", "20%", 20, False),
        ("Bacterial pneumonia", "10%", 10, False),
    ]


def test_two_models_for_one_group_are_told_apart(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = app.extensions["registry"].predictor.bundles
    monkeypatch.setitem(bundles, "by-us", replace(bundles[ADULTS], name="by-us"))
    page = client.get("/").get_data(as_text=True)
    assert f">Adult ({ADULTS})<" in page
    assert ">Adult (by-us)<" in page
    assert ">Child<" in page


@pytest.mark.parametrize(
    ("decision", "words", "advice"),
    [
        ("infected", "Signs of infection", "is above the level from which"),
        ("normal", "No sign of infection found", "does not rule out illness"),
        ("uncertain", "Uncertain: needs a reader", "lies between the two levels"),
    ],
)
def test_each_decision_has_its_own_shape_and_words(
    app: Flask, jpeg: bytes, decision: str, words: str, advice: str
) -> None:
    from dataclasses import replace

    from flask import render_template

    reading: Reading = app.extensions["registry"].predictor.read(jpeg, with_film=True)
    reading = replace(reading, decision=decision)  # type: ignore[arg-type]
    with app.test_request_context("/"):
        page = render_template(
            "result.html", reading=reading, shown=present(reading), patients=[], is_sample=False
        )
    icon = re.search(r'<header class="verdict">(.*?)</svg>', page, re.DOTALL)
    assert icon is not None
    shapes = {
        "infected": "M16 3.5 30 28H2Z",
        "normal": "<circle cx",
        "uncertain": "M16 2.5 29.5 16",
    }
    assert shapes[decision] in icon[1]
    assert f'<h1 id="decision">{words}</h1>' in page
    assert advice in page
