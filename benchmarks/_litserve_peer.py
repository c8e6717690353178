"""LitServe serving the same bundle with the same decoding: ``python _litserve_peer.py``."""

# Annotations must not be postponed: LitServe passes one on to FastAPI as it stands.
import os
import sys
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import litserve
import numpy as np
from fastapi import Body

from cxr.bundle import load_bundle
from cxr.decode import decode
from cxr.preprocess import to_model_input


class Api(litserve.LitAPI):
    def setup(self, device):
        self.bundle = load_bundle(Path(os.environ["PEER_BUNDLE"]), os.environ["PEER_ENGINE"])

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/*")]):
        return request

    def predict(self, data):
        film = decode(data, reduce_to=self.bundle.spec.reduce_to)
        return self.bundle.predict(to_model_input(film, self.bundle.spec)[np.newaxis])

    def encode_response(self, output):
        return {"probabilities": output.probabilities[0].tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(), accelerator="cpu", workers_per_device=int(os.environ["PEER_WORKERS"])
    )
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
