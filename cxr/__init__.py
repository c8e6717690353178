"""What training and serving must agree on: reading a radiograph and preparing it."""

from cxr.decode import DicomFields, Limits, Radiograph, decode
from cxr.preprocess import PreprocessSpec, to_model_input

__all__ = ["DicomFields", "Limits", "PreprocessSpec", "Radiograph", "decode", "to_model_input"]
