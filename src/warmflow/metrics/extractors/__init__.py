"""Networks that extract features for distances; the name of the network is part of the name of the distance.

EfficientNetLite0   ImageNet features, with weights from a Python package: for photographs if Inception is not available
Scripted            any TorchScript file by path, for example Inception for the standard FID
Classified          a small classifier trained on the data itself: for digits, clothes, and other data unlike photographs
"""

from warmflow.metrics.extractors.base import NamedExtractor
from warmflow.metrics.extractors.classified import Classified
from warmflow.metrics.extractors.efficientnet import EfficientNetLite0
from warmflow.metrics.extractors.scripted import Scripted

__all__ = ["Classified", "EfficientNetLite0", "NamedExtractor", "Scripted"]
