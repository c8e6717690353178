"""Which optimizer a recipe asks for, and how its learning rate goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from training.recipe import Recipe, Stage


@keras.saving.register_keras_serializable(package="training")
class KernelMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon on the kernels of convolutions, each as a matrix (fan-in, filters); AdamW on the rest.

    An update whose singular values are all alike learns in every direction at the same pace
    (Jordan 2024, https://kellerjordan.github.io/posts/muon/). Keras's own does it for matrices
    alone, which a convolution's kernel is not.
    """

    def __init__(self, *rate: Any, weight_decay: float | None = None, **rest: Any) -> None:
        rest["adam_weight_decay"] = weight_decay  # one decay for all that decays
        super().__init__(*rate, weight_decay=weight_decay, **rest)

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Keras's iteration, up to rounding, in half its time (``benchmarks/optimizer_step.py``).

        Each step multiplies the matrix M by a polynomial of its Gram matrix G = MᵀM. These
        polynomials commute, so all steps are taken on G, which is small, and M, which is nine
        times as long where G has its filters' size, is multiplied by their product once.
        """
        ops = keras.ops
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        wide = matrix.shape[0] < matrix.shape[1]
        transposed = ops.transpose(matrix)
        gram = ops.matmul(*((matrix, transposed) if wide else (transposed, matrix)))
        scale = 1 / (ops.sqrt(ops.trace(gram)) + 1e-7)  # of the Frobenius norm to 1
        gram = gram * scale**2
        one = ops.eye(gram.shape[0], dtype=gram.dtype)
        product = scale * one
        for _ in range(steps):
            factor = self.muon_a * one + self.muon_b * gram + self.muon_c * ops.matmul(gram, gram)
            product = ops.matmul(factor, product)
            gram = ops.matmul(ops.matmul(factor, factor), gram)
        return ops.reshape(ops.matmul(*((product, matrix) if wide else (matrix, product))), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        matrix = keras.ops.reshape(x, (-1, x.shape[-1]))
        return keras.ops.reshape(super().lr_adjust(matrix), x.shape)


OPTIMIZERS = {
    "muon": KernelMuon,
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "rmsprop": keras.optimizers.RMSprop,
}


@keras.saving.register_keras_serializable(package="training")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear climb to ``peak``, then half a cosine down to ``final``; counted in steps."""

    def __init__(self, peak: float, warmup: int, total: int, final: float = 0.0) -> None:
        self.peak, self.warmup, self.total, self.final = peak, warmup, total, final

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        climb = step / max(self.warmup, 1)
        share = (step - self.warmup) / max(self.total - self.warmup, 1)
        fall = 0.5 * (1 + keras.ops.cos(np.pi * keras.ops.clip(share, 0.0, 1.0)))
        falling = self.final + (self.peak - self.final) * fall
        return keras.ops.where(step < self.warmup, self.peak * climb, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup": self.warmup,
            "total": self.total,
            "final": self.final,
        }


def make_optimizer(recipe: Recipe, stage: Stage, steps: int) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for one stage of ``steps`` batches an epoch."""
    rate: Any = stage.learning_rate  # "adaptive": training/adaptive.py lowers it
    if recipe.schedule == "cosine":
        warmup = round(stage.warmup_epochs * steps)
        rate = WarmupCosine(
            stage.learning_rate, warmup, stage.epochs * steps, stage.final_learning_rate
        )
    optimizer = OPTIMIZERS[recipe.optimizer](
        rate,
        weight_decay=recipe.weight_decay or None,
        global_clipnorm=recipe.gradient_clip or None,
    )
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gain"])
    return optimizer
