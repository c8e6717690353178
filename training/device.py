"""Which device trains, and in which precision; asked of whatever backend Keras runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras

from training.distribute import join_processes
from training.errors import TrainingError

#: What ``--precision`` takes; Keras's dtype policies, and what is chosen for the device.
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Device:
    """Where the training runs.

    Attributes:
        name: for people.
        precision: Keras dtype policy.
    """

    backend: str
    name: str
    precision: str

    def __str__(self) -> str:
        return f"{self.name} (Keras on {self.backend}, {self.precision})"


def use_device(precision: str = "auto") -> Device:
    """Pick the GPU if the backend sees one, else the CPU; set Keras's precision for it.

    Raises:
        TrainingError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise TrainingError(
            f"There is no precision '{precision}'. Those there are: {', '.join(PRECISIONS)}."
        )
    join_processes()
    backend = keras.backend.backend()
    gpus = _gpus(backend)
    if precision == "auto":
        precision = _gpu_precision(gpus[0][1]) if gpus else _cpu_precision(backend)
    keras.mixed_precision.set_global_policy(precision)
    name = f"{len(gpus)} × {gpus[0][0]}" if gpus else "CPU"
    if len(gpus) > 1 and backend != "jax":
        print(f"One of {len(gpus)} GPUs is used; KERAS_BACKEND=jax trains on all of them.")
    return Device(backend, name, precision)


@contextmanager
def in_float32() -> Iterator[None]:
    """Keras's precision within, whatever it is around: what is exported, or teaches, needs it."""
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _gpus(backend: str) -> list[tuple[str, float]]:
    """(name, CUDA compute capability) of each GPU that the backend sees."""
    if backend == "tensorflow":
        import tensorflow

        found = []
        for gpu in tensorflow.config.list_physical_devices("GPU"):
            details = tensorflow.config.experimental.get_device_details(gpu)
            major, minor = details.get("compute_capability", (0, 0))
            found.append((details.get("device_name", gpu.name), major + minor / 10))
        return found
    if backend == "jax":
        import jax

        return [
            (gpu.device_kind, float(getattr(gpu, "compute_capability", 0)))
            for gpu in jax.local_devices()
            if gpu.platform in ("gpu", "cuda", "rocm")
        ]
    if backend == "torch":
        import torch

        found = []
        for number in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(number)
            found.append((torch.cuda.get_device_name(number), major + minor / 10))
        return found
    return []


def _gpu_precision(compute_capability: float) -> str:
    # bfloat16 needs no loss scaling; tensor cores have it from Ampere (8.0) on.
    return "mixed_bfloat16" if compute_capability >= 8 else "mixed_float16"


def _cpu_precision(backend: str) -> str:
    """bfloat16 where the processor multiplies it: it halves the time of an epoch there."""
    information = Path("/proc/cpuinfo")
    if backend != "tensorflow" or not information.exists():
        return "float32"
    flags = information.read_text().partition("flags")[2].partition("\n")[0].split()
    native = {"avx512_bf16", "amx_bf16"} & set(flags)
    return "mixed_bfloat16" if native else "float32"
