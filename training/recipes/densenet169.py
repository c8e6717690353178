"""DenseNet169 with a dense head, Adamax, and a learning rate that falls when it stalls.

    python -m training fit densenet169 --data covid19-radiography-database.zip \
        --out models/densenet169
    python -m training fit densenet169 --weights none --data … --out …
    python -m training fit densenet169 --weights notop.h5 --data … --out …

ImageNet weights through Keras Applications, Adamax at 1e-3, categorical cross-entropy,
batches of 16, up to 100 epochs, 80/10/10, horizontal flips; all classes that the data have
(four in the whole COVID-19 Radiography Database). At a terminal it asks after ten epochs
whether to go on. Meant for a GPU. The published system claims 96.27 % accuracy. Reached here, from
nothing and after one epoch: 86.0 % (``docs/results.md``).
"""

from dataclasses import replace

from cxr.preprocess import PreprocessSpec
from training.architectures import DenseNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=224, low_percentile=0.0, high_percentile=100.0),
    network=DenseNetwork(),
    stages=(
        Stage(
            epochs=100,
            learning_rate=1e-3,
            augmentation=replace(NO_AUGMENTATION, flip=True),
        ),
    ),
    optimizer="adamax",
    schedule="adaptive",
    weight_decay=0.0,
    gradient_clip=0.0,
    label_smoothing=0.0,
    class_balance=0.0,
    batch_size=16,
    patience=12,
)

SEARCH: Search = (
    Range("stages.learning_rate", 1e-4, 3e-3, log=True),
    Range("network.dropout", 0.2, 0.6),
    Choice("network.dense", ((128,), (256,), (512,))),
    Choice("optimizer", ("adamax", "adam", "rmsprop")),
)
