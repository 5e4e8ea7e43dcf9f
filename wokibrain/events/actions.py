"""What the audit trail enters, in the words a person reads."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

ACTIONS: Final = {
    "BookingCreated": _("booking made"),
    "BookingUpdated": _("booking changed"),
    "BookingCancelled": _("booking cancelled"),
    "BookingSeated": _("party seated"),
    "BookingCompleted": _("party left"),
    "BookingNoShow": _("party did not come"),
    "TableBlocked": _("table taken out of service"),
    "TableUnblocked": _("table put back into service"),
    "RestaurantCreated": _("restaurant made"),
    "RestaurantUpdated": _("restaurant changed"),
    "RestaurantDeleted": _("restaurant deleted"),
    "SectorCreated": _("sector made"),
    "SectorUpdated": _("sector changed"),
    "SectorDeleted": _("sector deleted"),
    "TableCreated": _("table made"),
    "TableUpdated": _("table changed"),
    "TableDeleted": _("table deleted"),
    "UserCreated": _("user made"),
    "UserUpdated": _("user changed"),
    "UserPasswordChanged": _("password of a user changed"),
    "MembershipCreated": _("role given"),
    "MembershipUpdated": _("role changed"),
    "MembershipDeleted": _("role taken away"),
    "WebhookCreated": _("webhook made"),
    "WebhookUpdated": _("webhook changed"),
    "WebhookDeleted": _("webhook deleted"),
    "WebhookSecretRotated": _("webhook's secret changed"),
    "WebhookRedelivered": _("webhook delivery repeated"),
    "WebhookRecovered": _("webhook's missed deliveries repeated"),
    "WebhookDeactivated": _("webhook given up"),
    "api-key.created": _("API key made"),
    "api-key.revoked": _("API key revoked"),
    "api-key.used": _("API key used"),
    "sign-in": _("signed in"),
    "sign-in.failed": _("sign-in failed"),
    "sign-in.blocked": _("sign-in blocked"),
}
"""What the audit trail calls an action -> what a person reads."""
