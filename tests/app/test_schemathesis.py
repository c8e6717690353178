"""Schemathesis sends every route what its description allows, and what it does not.

A few examples a route here; ``make fuzz-api`` sends thousands (``XRAY_FUZZ_EXAMPLES``).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, positive_data_acceptance

from tests.phantoms import chest_phantom, encode_jpeg

EXAMPLES = int(os.environ.get("XRAY_FUZZ_EXAMPLES") or 10)

load_all_checks()

_FILM = encode_jpeg(chest_phantom(120))

# Whole films, damaged films, and anything at all.
_BODIES = st.one_of(
    st.just(_FILM),
    st.integers(0, len(_FILM)).map(lambda end: _FILM[:end]),
    st.tuples(st.integers(0, len(_FILM) - 1), st.binary(max_size=8)).map(
        lambda where: _FILM[: where[0]] + where[1] + _FILM[where[0] + len(where[1]) :]
    ),
    st.binary(max_size=200),
)
for _type in ("image/*", "application/dicom", "application/octet-stream"):
    schemathesis.openapi.media_type(_type, _BODIES)


@pytest.fixture(scope="module")
def api(app: Flask) -> Any:
    def from_this_machine(environ: dict[str, Any], start_response: Any) -> Any:
        return app(environ | {"REMOTE_ADDR": "127.0.0.1"}, start_response)

    return schemathesis.openapi.from_wsgi("/openapi.json", from_this_machine)


# Not by the library's own parametrize(): its subtests do not run under this pytest.
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_route_keeps_to_its_description(api: Any, mode: GenerationMode) -> None:
    operations = [result.ok() for result in api.get_all_operations()]
    assert len(operations) >= 6
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        def keeps_to_it(case: schemathesis.Case) -> None:
            # That a body must be a radiograph, no schema says: valid bytes may be refused.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        # Where nothing can be wrong (a GET without parameters) there is no negative example.
        with suppress(Unsatisfiable):
            keeps_to_it()
