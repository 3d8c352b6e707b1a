"""CMC, mAP and mINP of a ranking: their level of chance, their means over trials, their intervals."""
