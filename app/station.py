"""What the page's JavaScript asks for: a reading in the page's words, a film at full depth.

The decisions and the words are those of the result page, rendered from the same template;
the JavaScript only puts them in place. A refusal is the error page: asked for with
``Accept: text/html``, which the script sends, its section is shown as it is.
"""

from __future__ import annotations

import json

from flask import Blueprint, Response, abort, jsonify, render_template, request

from app import current
from app.pictures import data_uri
from app.predictor import INFECTION
from app.presentation import BY_AGE, choices, present, report_text
from app.sample import sample_path
from app.uploads import radiograph_bytes
from cxr.decode import prepare_dicom

blueprint = Blueprint("station", __name__, url_prefix="/station")


@blueprint.post("/reading")
def reading() -> Response:
    """One reading: its JSON, its words, and the pictures that lie beside the film."""
    predictor = current.predictor()
    data = radiograph_bytes(request)
    model = request.form.get("model")
    wanted_map = request.form.get("heatmap_class") or INFECTION
    found = predictor.read(
        data,
        model=None if model == BY_AGE else model,
        heatmap="layer",
        heatmap_class=wanted_map,
        with_thumbnail=True,
        needs_patient=model == BY_AGE,
    )
    current.metrics().count_reading(found)
    shown = present(found)
    return jsonify(
        reading={**found.to_json(), "heatmap": None},
        words={
            "decision": shown.decision,
            "probability": shown.probability,
            # Of those that make the reading less sure; a missing map does not.
            "warnings": [
                title
                for warning, (title, _) in zip(found.warnings, shown.warnings, strict=True)
                if warning.code != "no_heatmap"
            ],
            "text": report_text(found),
        },
        html=render_template(
            "_reading.html",
            reading=found,
            shown=shown,
            is_sample="sample" in request.form,
            beside_worklist=True,
        ),
        others=[
            {"model": choice.model, "label": choice.label}
            for choice in choices(predictor, found.bundle.name)
            if not choice.chosen
        ],
        # Drawn also where no sign is found; there the page shows it only when it is asked to.
        layer=data_uri(found.heatmap) if found.heatmap else None,
        maps=[
            {"id": INFECTION, "label": "All signs"},
            *({"id": finding.id, "label": finding.label} for finding in found.bundle.classes),
        ],
        map_at_once=found.decision != "normal" or wanted_map != INFECTION,
        thumbnail=data_uri(found.thumbnail) if found.thumbnail else None,
    )


@blueprint.post("/film")
def film_pixels() -> Response:
    """The decoded pixels of a file that a browser cannot show at its full depth.

    The body holds rows × columns values, one or two bytes each, little end first; the
    header ``X-Film`` says the rest, as JSON.
    """
    prepare_dicom()  # no service waits for pydicom to be ready
    from cxr.film import film

    registry = current.registry()
    data = radiograph_bytes(request)
    # Decoding takes a core and memory as a reading does: both wait in the same bounded queue.
    with registry.predictor.turn():
        found = film(data, registry.limits)
        body = found.pixels.astype(found.pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    rows, columns = found.pixels.shape
    spacing = found.spacing
    response = Response(body, mimetype="application/octet-stream")
    response.headers["X-Film"] = json.dumps(
        {
            "width": columns,
            "height": rows,
            "bits": found.pixels.dtype.itemsize * 8,
            "windows": [[window.black, window.white] for window in found.windows],
            "inverted": found.inverted,
            "slope": found.slope,
            "intercept": found.intercept,
            "spacing": spacing
            and {"row": spacing.row, "column": spacing.column, "plane": spacing.plane},
        }
    )
    return response


@blueprint.get("/sample")
def sample() -> Response:
    """The sample radiograph, to be read like any other file."""
    path = sample_path() or abort(404)
    return Response(path.read_bytes(), mimetype="application/dicom")
