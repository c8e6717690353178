"""Requests byte by byte, for the tests of what clients do."""

from __future__ import annotations

import http.client
import json
import socket
import time

from tests.phantoms import chest_phantom, encode_jpeg
from tests.server import Server

FILM = encode_jpeg(chest_phantom(300))


def post(server: Server, film: bytes, kind: str = "image/jpeg") -> tuple[int, dict, float]:
    """Status, JSON and headers together, and seconds."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", "/predict", film, {"Content-Type": kind})
        answer = connection.getresponse()
        body = {**json.loads(answer.read()), **dict(answer.getheaders())}
        return answer.status, body, time.monotonic() - began
    finally:
        connection.close()


def head(length: int, extra: str = "") -> bytes:
    return (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {length}\r\n{extra}\r\n"
    ).encode()


def answer_of(client: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := client.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer
