"""The product's settings, with two bare views added to what it serves."""

from wokibrain.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.urls"
