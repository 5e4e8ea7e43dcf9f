from wokibrain.core import zones

zones.install()
