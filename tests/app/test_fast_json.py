from __future__ import annotations

import json

import pytest
from flask import Flask, jsonify

from app.fast_json import FastJSON


@pytest.fixture
def app():
    app = Flask(__name__)
    app.json = FastJSON(app)
    with app.app_context():
        yield app


def test_an_answer_is_the_same_document_that_python_would_write(app):
    content = {
        "z": 1,
        "probability": 0.1 + 0.2,
        "tiny": 5e-324,
        "label": "Pneumonie, große",
        "a": [],
    }
    answer = jsonify(content)
    assert answer.mimetype == "application/json"
    assert json.loads(answer.data) == content
    assert list(json.loads(answer.data)) == list(content)  # as they come, not sorted
    assert "große".encode() in answer.data
    assert answer.data.endswith(b"\n")


def test_what_json_does_not_know_is_an_error_and_not_half_an_answer(app):
    with pytest.raises(TypeError):
        jsonify({"film": object()})
