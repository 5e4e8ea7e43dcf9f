"""Memberships, API keys, login sessions and counts of sign-in attempts."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission, Role


class Membership(models.Model):
    """A person's role at one restaurant, or everywhere for a super administrator."""

    tenant_path = "restaurant_id"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    restaurant = models.ForeignKey(
        "restaurants.Restaurant",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="memberships",
        verbose_name=_("restaurant"),
    )
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "restaurant"], name="membership_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="membership_everywhere_only_super_admin",
                condition=Q(restaurant__isnull=False, role__in=sorted(set(Role.values) - {Role.SUPER_ADMIN}))
                | Q(restaurant__isnull=True, role=Role.SUPER_ADMIN),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} {self.restaurant_id or '*'}"


class ApiKey(models.Model):
    """A program's credential. The secret is shown once; only its SHA-256 is stored.

    The secret has 256 random bits, so a plain hash is as safe as a slow one, and fast enough for every
    request. An empty ``restaurant`` means all. ``scopes`` narrow the role's permissions; null keeps all.
    """

    tenant_path = "restaurant_id"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    restaurant = models.ForeignKey(
        "restaurants.Restaurant",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name=_("restaurant"),
    )
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.API_CLIENT)
    scopes = ArrayField(
        models.CharField(
            max_length=30, choices=[(permission.value, permission.value) for permission in Permission]
        ),
        verbose_name=_("scopes"),
        null=True,
        blank=True,
        help_text=_("Only these of the role's permissions; empty for all of them."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="api_key_scopes_known",
                condition=Q(scopes__isnull=True)
                | Q(scopes__contained_by=[permission.value for permission in Permission]),
            ),
            models.CheckConstraint(
                name="api_key_expires_after_creation",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (wk_{self.prefix}…)"


class LoginSession(models.Model):
    """One sign-in and the refresh tokens issued from it.

    ``token_id`` is the only refresh token that is still valid. When an older one is used, it or its
    successor has been stolen: the session ends.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="login_sessions", verbose_name=_("user")
    )
    token_id = models.CharField(max_length=32, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("login session")
        verbose_name_plural = _("login sessions")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["expires_at"], name="login_session_expiry")]

    def __str__(self) -> str:
        return str(self.id)


class SignInCount(models.Model):
    """Password attempts in the current quarter of an hour, by account, by address and by both.

    ``subject`` is a keyed hash of the account, the address or both; neither is stored in the clear.
    """

    subject = models.CharField(primary_key=True, max_length=64)
    tries = models.PositiveIntegerField()
    until = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("sign-in count")
        verbose_name_plural = _("sign-in counts")

    def __str__(self) -> str:
        return self.subject
