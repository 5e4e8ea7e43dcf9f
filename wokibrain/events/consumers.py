from wokibrain.events.audit import audit

__all__ = ["audit"]
