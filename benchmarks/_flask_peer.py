"""The ordinary Flask application: a full Pillow decode and ``model.predict`` per request.

What a tutorial would write around the same network. It answers with fewer facts than the
service, checks nothing, and is served by gunicorn with threads, as the service is.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import pydicom
from flask import Flask, jsonify, request
from PIL import Image

app = Flask(__name__)
model = keras.saving.load_model(Path(os.environ["PEER_BUNDLE"]) / "model.keras", compile=False)
size = model.input_shape[1]
model.predict(np.zeros((1, size, size, 1), np.float32), verbose=0)


@app.get("/readyz")
def ready():
    return "ready"


@app.post("/predict")
def predict():
    data = request.get_data()
    if request.mimetype == "application/dicom":
        pixels = pydicom.dcmread(io.BytesIO(data)).pixel_array.astype(np.float32)
        image = Image.fromarray((255 * pixels / pixels.max()).astype(np.uint8))
    else:
        image = Image.open(io.BytesIO(data)).convert("L")
    small = np.asarray(image.resize((size, size)), np.float32) / 255
    probabilities = model.predict(small[np.newaxis, :, :, np.newaxis], verbose=0)[0]
    return jsonify(probabilities=probabilities.tolist())
