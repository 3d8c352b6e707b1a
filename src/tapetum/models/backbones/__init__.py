"""Feature extractors: CLIP's towers and ResNet-50."""
