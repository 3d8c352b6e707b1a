"""Noise: every frame has its own. A sensor without colours, as in infrared, adds the same to all channels."""

from __future__ import annotations

import numpy as np

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene


def gaussian_noise(scene: Scene, deviation: float) -> Filter:
    """Adds normal draws of `deviation` grey levels."""

    def through(frame: Frame, moment: Moment) -> Frame:
        noise = moment.generator.standard_normal(scene.sensor_shape, dtype=np.float32)
        return frame + np.float32(deviation) * noise

    return through


def shot_noise(scene: Scene, photons: float) -> Filter:
    """Counts photons, Poisson-distributed, `photons` of them where a value is 255."""
    grey = scene.sensor_shape[0] == 1

    def through(frame: Frame, moment: Moment) -> Frame:
        light = frame.mean(axis=0, keepdims=True) if grey else frame
        counted = moment.generator.poisson(light * np.float32(photons / 255)).astype(np.float32)
        result: Frame = frame - light + counted * np.float32(255 / photons)
        return result

    return through


def impulse_noise(scene: Scene, share: float) -> Filter:
    """Sets a share of the values to 0 or 255, half of them each."""

    def through(frame: Frame, moment: Moment) -> Frame:
        drawn = moment.generator.random(scene.sensor_shape, dtype=np.float32)
        result = np.where(drawn < share / 2, np.float32(0), frame)
        return np.where(drawn >= 1 - share / 2, np.float32(255), result)

    return through


def speckle_noise(scene: Scene, deviation: float) -> Filter:
    """Multiplies by 1 + normal draws of `deviation`."""

    def through(frame: Frame, moment: Moment) -> Frame:
        noise = moment.generator.standard_normal(scene.sensor_shape, dtype=np.float32)
        return frame * (1 + np.float32(deviation) * noise)

    return through


CORRUPTIONS = (
    Corruption(
        "gaussian-noise",
        "noise",
        "Normal noise is added to every value.",
        "standard deviation, grey levels",
        (10, 18, 28, 42, 60),
        gaussian_noise,
    ),
    Corruption(
        "shot-noise",
        "noise",
        "Too few photons: bright places are noisier than dark ones.",
        "photons of a white pixel",
        (80, 40, 20, 10, 5),
        shot_noise,
    ),
    Corruption(
        "impulse-noise",
        "noise",
        "Some values are black or white.",
        "share of values",
        (0.02, 0.05, 0.1, 0.17, 0.27),
        impulse_noise,
    ),
    Corruption(
        "speckle-noise",
        "noise",
        "Every value is multiplied by noise around 1.",
        "standard deviation of the factor",
        (0.12, 0.2, 0.3, 0.42, 0.58),
        speckle_noise,
    ),
)
