"""Admin pages of the platform: people, the audit trail and events."""

from wokibrain.office.admin import audit_trail, events, people

__all__ = ["audit_trail", "events", "people"]
