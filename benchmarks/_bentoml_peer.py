"""BentoML serving the same bundle with the same decoding: ``bentoml serve _bentoml_peer:Peer``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bentoml
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cxr.bundle import load_bundle
from cxr.decode import decode
from cxr.preprocess import to_model_input

_held = {}


def _bundle():
    if "bundle" not in _held:
        _held["bundle"] = load_bundle(Path(os.environ["PEER_BUNDLE"]), os.environ["PEER_ENGINE"])
    return _held["bundle"]


def _read(data: bytes) -> list[float]:
    bundle = _bundle()
    film = decode(data, reduce_to=bundle.spec.reduce_to)
    answer = bundle.predict(to_model_input(film, bundle.spec)[np.newaxis])
    return answer.probabilities[0].tolist()


async def _predict(request: Request) -> JSONResponse:
    # BentoML's own file inputs go through a temporary file; raw bytes are what it does fastest.
    return JSONResponse({"probabilities": await run_in_threadpool(_read, await request.body())})


@bentoml.asgi_app(Starlette(routes=[Route("/predict", _predict, methods=["POST"])]))
@bentoml.service(workers=int(os.environ.get("PEER_WORKERS", "1")))
class Peer:
    def __init__(self) -> None:
        _bundle()
