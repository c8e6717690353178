"""The loaded bundles and their cards, for programs and for people."""

from __future__ import annotations

import json
from pathlib import Path

from flask.testing import FlaskClient

from app.settings import Settings
from tests.app.conftest import ADULTS, CHILDREN, loaded
from tests.app.problems import assert_problem
from tests.app.test_errors import BROWSER
from tests.conftest import write_tiny_bundle


def test_models_lists_what_a_program_needs_to_choose(client: FlaskClient) -> None:
    body = client.get("/models").get_json()
    assert body["default"] == CHILDREN
    assert {model["name"] for model in body["models"]} == {ADULTS, CHILDREN}
    children = next(model for model in body["models"] if model["name"] == CHILDREN)
    assert children["population"]["description"] == "Children, 1 to 5 years"
    assert [c["id"] for c in children["classes"]] == [
        "normal",
        "bacterial_pneumonia",
        "viral_pneumonia",
    ]
    assert children["thresholds"] == {"rule_out": 0.3, "rule_in": 0.7}
    assert client.get(children["url"]).status_code == 200


def test_one_model_has_its_card_and_its_document(client: FlaskClient) -> None:
    body = client.get(f"/models/{CHILDREN}").get_json()
    assert body["card"].startswith("# Untrained")
    assert body["format"] == "xray-bundle/1"
    assert body["input"]["size"] == 64
    assert body["metrics"] == {}
    assert body["audit"] is None


def test_a_model_is_found_at_its_address_whatever_its_name_is(tmp_path: Path) -> None:
    document = write_tiny_bundle(tmp_path / "ours") / "bundle.json"
    document.write_text(json.dumps({**json.loads(document.read_text()), "name": "ward 3? #1"}))
    client = loaded(Settings(models=tmp_path)).test_client()
    (model,) = client.get("/models").get_json()["models"]
    assert client.get(model["url"]).get_json()["name"] == "ward 3? #1"


def test_an_unknown_model(client: FlaskClient) -> None:
    body = assert_problem(client.get("/models/nobody"), "unknown_model")
    assert CHILDREN in body["detail"]


def test_people_get_pages(client: FlaskClient) -> None:
    listing = client.get("/models", headers=BROWSER)
    assert listing.mimetype == "text/html"
    assert f'href="/models/{CHILDREN}"' in listing.get_data(as_text=True)
    card = client.get(f"/models/{CHILDREN}", headers=BROWSER)
    assert "<h1>Untrained</h1>" in card.get_data(as_text=True)
    assert "Accept" in card.headers["Vary"]


def test_numbers_in_a_card_stand_below_each_other_without_styles_in_the_page(
    tmp_path: Path,
) -> None:
    folder = write_tiny_bundle(tmp_path / "measured")
    (folder / "CARD.md").write_text(
        "| Films | Count |\n| --- | ---: |\n| normal | 117 |\n| all | 97.4 % [96.4, 98.4] |\n"
    )
    client = loaded(Settings(models=tmp_path)).test_client()
    page = client.get("/models/measured", headers=BROWSER).get_data(as_text=True)
    assert '<th class="number">Count</th>' in page
    assert '<td class="number">117</td>' in page
    assert "<td>normal</td>" in page
    assert '<td class="number">97.4 % [96.4,\u00a098.4]</td>' in page  # not broken in two
    assert "style=" not in page  # which the page's own policy would block


def test_html_in_a_card_stays_text(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "evil")
    card = "# Card\n\n<script>alert(1)</script> [x](javascript:alert(1))\n"
    (folder / "CARD.md").write_text(card)
    client = loaded(Settings(models=tmp_path)).test_client()
    page = client.get("/models/evil", headers=BROWSER).get_data(as_text=True)
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page


def test_the_audit_and_its_plots_belong_to_the_card(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "audited")
    digest = json.loads((folder / "bundle.json").read_text())["sha256"]
    audit = {"model": {"sha256": digest}, "robustness": [{"change": "10 % darker"}]}
    (folder / "audit.json").write_text(json.dumps(audit))
    (folder / "CARD.md").write_text("# Card\n\n![Robustness](figures/robustness.svg)\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "robustness.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    client = loaded(Settings(models=tmp_path)).test_client()
    assert client.get("/models/audited").get_json()["audit"] == audit
    page = client.get("/models/audited", headers=BROWSER).get_data(as_text=True)
    address = "/models/audited/figures/robustness.svg"
    assert f'<img src="{address}" alt="Robustness"' in page
    with client.get(address) as plot:
        assert plot.status_code == 200
        assert plot.mimetype == "image/svg+xml"
        assert "sandbox" in plot.headers["Content-Security-Policy"]
    for other in ("bundle.json", "../bundle.json", "..%2fbundle.json", "nothing.svg"):
        assert_problem(client.get(f"/models/audited/figures/{other}"), "not_found")
    assert_problem(client.get("/models/nobody/figures/robustness.svg"), "unknown_model")
