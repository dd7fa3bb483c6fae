"""Networks whose features distances are taken on, each under a name that stands in the distance's name.

EfficientNetLite0   ImageNet features from a Python package: photographs, where Inception's weights are not at hand
Scripted            any TorchScript file by path: Inception's own, for a number that may be called FID
Classified          the small classifier trained on the data itself: digits, clothes, whatever is unlike photographs
"""

from warmflow.metrics.extractors.base import NamedExtractor
from warmflow.metrics.extractors.classified import Classified
from warmflow.metrics.extractors.efficientnet import EfficientNetLite0
from warmflow.metrics.extractors.scripted import Scripted

__all__ = ["Classified", "EfficientNetLite0", "NamedExtractor", "Scripted"]
