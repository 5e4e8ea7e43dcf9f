"""Bookings and what they occupy.

``Allocation`` is the truth about who holds which table when: its exclusion constraint refuses any
two active rows of one table that overlap, whether they stand for a booking or for a block.
"""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import GistIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Deferrable, F, Q
from django.utils.translation import gettext_lazy as _

from bookings.statuses import Status
from restaurants.models import MAX_COMBO_TABLES, MAX_PARTY, Restaurant, Sector, Table
from wokibrain.core import ids
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission


class WallTimeField(models.Field):  # type: ignore[type-arg]
    """What a clock on the wall shows: a naive datetime, which no setting and no server ever converts."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "timestamp without time zone"


class Guest(models.Model):
    """A person who books: contact data, kept apart from bookings and never in an event.

    An erased guest keeps its row, empty, so that counts and visits stay right.
    """

    tenant_path = "restaurant_id"
    private_fields = dict.fromkeys(("name", "email", "phone", "notes"), Permission.GUEST_READ)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    restaurant = models.ForeignKey(
        Restaurant, models.CASCADE, related_name="guests", verbose_name=_("restaurant")
    )
    name = models.CharField(_("name"), max_length=200, blank=True)
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    phone = models.CharField(_("phone"), max_length=32, blank=True)
    notes = models.TextField(_("notes"), max_length=2000, blank=True)
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("guest")
        verbose_name_plural = _("guests")
        ordering = ["name", "id"]
        indexes = [
            models.Index(F("restaurant"), F("email"), name="guest_by_email", condition=~Q(email="")),
            models.Index(F("restaurant"), F("phone"), name="guest_by_phone", condition=~Q(phone="")),
        ]
        constraints = [
            models.CheckConstraint(
                name="guest_erased_is_empty",
                condition=Q(erased_at__isnull=True) | Q(name="", email="", phone="", notes=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)


class Booking(models.Model):
    """A party that will come, is here, or was. ``version`` is that of its latest event.

    The promise to the guest is ``promised_start``, a wall time in ``promised_zone`` (``promised_fold`` says which of
    two, where the hour comes twice); ``start`` is the instant derived from it. Both are kept, because the world's
    rules for zones change. The promise is null only for what was over before promises were stored, and for what a
    version of the program that stores none wrote beside this one (``bookings.repository.promises`` completes it).

    Each index costs every create, so there are those that a reader of the product needs and no others.
    """

    tenant_path = "restaurant_id"
    private_fields = dict.fromkeys(("guest", "notes"), Permission.GUEST_READ)

    class Channel(models.TextChoices):
        API = "api", _("API")
        STAFF = "staff", _("Staff")
        WALK_IN = "walk_in", _("Walk-in")

    class Attention(models.TextChoices):
        """Why staff should look at an open booking.

        All but OCCUPIED are stored: a change of plan was made in spite of the booking. OCCUPIED is true or not by the
        clock: another party still sits at one of its tables.
        """

        HOURS = "hours", _("Outside of the opening hours")
        OCCUPIED = "occupied", _("Another party still sits at its table")
        TABLES = "tables", _("Its tables are gone or too small")
        ZONE = "zone", _("The restaurant's clock was changed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reference = models.CharField(_("reference"), max_length=12, default=ids.reference)
    restaurant = models.ForeignKey(
        Restaurant,
        models.PROTECT,
        related_name="bookings",
        verbose_name=_("restaurant"),
        db_index=False,
    )
    sector = models.ForeignKey(
        Sector, models.PROTECT, related_name="bookings", verbose_name=_("sector"), db_index=False
    )
    table_ids = ArrayField(models.CharField(max_length=50), verbose_name=_("tables"), size=MAX_COMBO_TABLES)
    service_date = models.DateField(_("service date"))
    start = models.DateTimeField(_("start"))
    end = models.DateTimeField(_("end"))
    promised_start = WallTimeField(null=True, editable=False)
    promised_zone = models.CharField(max_length=64, null=True, editable=False)
    promised_fold = models.PositiveSmallIntegerField(null=True, editable=False)
    duration_minutes = models.PositiveSmallIntegerField(_("duration"))
    party_size = models.PositiveSmallIntegerField(
        _("party"), validators=[MinValueValidator(1), MaxValueValidator(MAX_PARTY)]
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.CONFIRMED)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel.choices, default=Channel.API)
    guest = models.ForeignKey(
        Guest, models.SET_NULL, null=True, blank=True, related_name="bookings", verbose_name=_("guest")
    )
    notes = models.TextField(_("notes"), max_length=1000, blank=True)
    attention = ArrayField(
        models.CharField(max_length=10, choices=Attention.choices),
        verbose_name=_("needs attention"),
        db_column="flags",
        blank=True,
        default=list,
        db_default=[],
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("updated"))

    class Meta:
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        ordering = ["start", "id"]
        indexes = [
            models.Index(fields=["restaurant", "service_date", "start", "id"], name="booking_by_service_day"),
            models.Index(fields=["restaurant", "start"], name="booking_flagged", condition=~Q(attention=[])),
            # Empty but for what was over before promises were stored; so a start need not look at all bookings.
            models.Index(
                fields=["end", "id"], name="booking_not_promised", condition=Q(promised_start__isnull=True)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="booking_reference_once"),
            models.CheckConstraint(name="booking_ends_after_start", condition=Q(end__gt=F("start"))),
            models.CheckConstraint(
                name="booking_promise_whole",
                condition=Q(promised_start=None, promised_zone=None, promised_fold=None)
                | Q(promised_start__isnull=False, promised_zone__isnull=False, promised_fold__in=[0, 1]),
            ),
            models.CheckConstraint(
                name="booking_party", condition=Q(party_size__gte=1, party_size__lte=MAX_PARTY)
            ),
            models.CheckConstraint(
                name="booking_tables",
                condition=Q(table_ids__len__gte=1, table_ids__len__lte=MAX_COMBO_TABLES),
            ),
            models.CheckConstraint(
                name="booking_status",
                condition=Q(status__in=Status.values),
            ),
            models.CheckConstraint(
                name="booking_attention",
                condition=Q(attention__contained_by=["hours", "tables", "zone"]),
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class TableBlock(models.Model):
    """A table out of service for an interval; an allocation like any other.

    The wall times are what was meant, the instants derived from them, as with bookings.
    """

    tenant_path = "table__sector__restaurant_id"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    table = models.ForeignKey(Table, models.CASCADE, related_name="blocks", verbose_name=_("table"))
    start = models.DateTimeField(_("start"))
    end = models.DateTimeField(_("end"))
    promised_start = WallTimeField(null=True, editable=False)
    promised_start_fold = models.PositiveSmallIntegerField(null=True, editable=False)
    promised_end = WallTimeField(null=True, editable=False)
    promised_end_fold = models.PositiveSmallIntegerField(null=True, editable=False)
    promised_zone = models.CharField(max_length=64, null=True, editable=False)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("table block")
        verbose_name_plural = _("table blocks")
        ordering = ["start", "id"]
        indexes = [
            models.Index(
                fields=["end", "id"],
                name="table_block_not_promised",
                condition=Q(promised_start__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="table_block_ends_after_start",
                condition=Q(end__gt=F("start")),
                violation_error_message=_("A block ends after it starts."),
            ),
            models.CheckConstraint(
                name="table_block_promise_whole",
                condition=Q(
                    promised_start=None,
                    promised_start_fold=None,
                    promised_end=None,
                    promised_end_fold=None,
                    promised_zone=None,
                )
                | Q(
                    promised_start__isnull=False,
                    promised_start_fold__in=[0, 1],
                    promised_end__isnull=False,
                    promised_end_fold__in=[0, 1],
                    promised_zone__isnull=False,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table_id} {self.promised_start or self.start:%Y-%m-%d %H:%M}"


class Allocation(models.Model):
    """One table held for one half-open period by a booking or by a block.

    Freed, it stays as a row that is not active. The constraints are deferrable so that two bookings
    can swap tables within a transaction.

    ``utc_offset`` (seconds) is that of the wall times which ``period`` was derived from. By it a second constraint,
    ``allocation_promised_once`` (migration 0012), has a table promised once for a wall time too, whatever zone rules
    the processes that promise have. It is null where the clock goes back within the period or shows its start for the
    second time, and for what was over before promises were stored.
    """

    id = models.BigAutoField(primary_key=True)
    table = models.ForeignKey(
        Table, models.PROTECT, related_name="allocations", verbose_name=_("table"), db_index=False
    )
    sector = models.ForeignKey(
        Sector, models.PROTECT, related_name="+", verbose_name=_("sector"), db_index=False
    )
    period = DateTimeRangeField(_("period"))
    utc_offset = models.IntegerField(null=True, editable=False)
    active = models.BooleanField(_("active"), default=True)
    booking = models.ForeignKey(
        Booking, models.CASCADE, null=True, blank=True, related_name="allocations", verbose_name=_("booking")
    )
    block = models.ForeignKey(
        TableBlock,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="allocations",
        verbose_name=_("block"),
        db_index=False,
    )

    class Meta:
        verbose_name = _("allocation")
        verbose_name_plural = _("allocations")
        constraints = [
            ExclusionConstraint(
                name="allocation_never_overlaps",
                expressions=[("table", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
                condition=Q(active=True),
                deferrable=Deferrable.IMMEDIATE,
            ),
            models.CheckConstraint(
                name="allocation_holder",
                condition=Q(booking__isnull=False, block__isnull=True)
                | Q(booking__isnull=True, block__isnull=False),
            ),
            models.CheckConstraint(
                name="allocation_period_bounded",
                condition=Q(period__isempty=False, period__lower_inf=False, period__upper_inf=False),
            ),
        ]
        indexes = [
            models.Index(fields=["block"], name="allocation_of_block", condition=Q(block__isnull=False)),
            GistIndex(F("sector"), F("period"), name="allocation_by_sector_period", condition=Q(active=True)),
        ]

    def __str__(self) -> str:
        return f"{self.table_id} {self.period}"


class Seating(models.Model):
    """A party at one table, from when it sat down until it left; without an upper bound while it sits.

    What happened in the room, beside the plan in ``Allocation``: its exclusion constraint refuses two parties at one
    table at one instant. A trigger (migration 0011) writes it with every change of a booking's status or tables,
    no matter what makes it.
    """

    id = models.BigAutoField(primary_key=True)
    booking = models.ForeignKey(Booking, models.CASCADE, related_name="seatings", verbose_name=_("booking"))
    table = models.ForeignKey(
        Table, models.PROTECT, related_name="seatings", verbose_name=_("table"), db_index=False
    )
    sector = models.ForeignKey(
        Sector, models.PROTECT, related_name="+", verbose_name=_("sector"), db_index=False
    )
    period = DateTimeRangeField(_("period"))
    assumed = models.BooleanField(
        _("end assumed"),
        default=False,
        db_default=False,
        help_text=_("Nobody marked the party as gone: it ended with its service day."),
    )

    class Meta:
        verbose_name = _("seating")
        verbose_name_plural = _("seatings")
        constraints = [
            ExclusionConstraint(
                name="seating_never_overlaps",
                expressions=[("table", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
                deferrable=Deferrable.IMMEDIATE,
            ),
            models.CheckConstraint(
                name="seating_period_begins", condition=Q(period__isempty=False, period__lower_inf=False)
            ),
        ]
        indexes = [
            models.Index(
                fields=["sector", "table"], name="seating_open", condition=Q(period__upper_inf=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.table_id} {self.period}"


class BookingDay(models.Model):
    """A sector's service day at a glance. ``bookings`` and ``covers`` count those that come, sit or sat."""

    pk = models.CompositePrimaryKey("restaurant_id", "service_date", "sector_id")
    restaurant_id = models.CharField(max_length=50)
    service_date = models.DateField()
    sector_id = models.CharField(max_length=50)
    bookings = models.IntegerField(default=0)
    covers = models.IntegerField(default=0)
    seated = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    no_shows = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("day")
        verbose_name_plural = _("days")

    def __str__(self) -> str:
        return f"{self.restaurant_id} {self.sector_id} {self.service_date}"


class BookingHour(models.Model):
    """A sector's bookings that start in one local hour of a service day.

    ``bookings`` counts all that were made; ``covers``, ``seated`` and ``table_minutes`` leave out
    the cancelled and those who did not show.
    """

    pk = models.CompositePrimaryKey("restaurant_id", "service_date", "hour", "sector_id")
    restaurant_id = models.CharField(max_length=50)
    service_date = models.DateField()
    hour = models.PositiveSmallIntegerField()
    sector_id = models.CharField(max_length=50)
    bookings = models.IntegerField(default=0)
    covers = models.IntegerField(default=0)
    seated = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    no_shows = models.IntegerField(default=0)
    table_minutes = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("figures by hour")
        verbose_name_plural = _("figures by hour")

    def __str__(self) -> str:
        return f"{self.restaurant_id} {self.service_date} {self.hour} h"


class BookingQuarter(models.Model):
    """Who is expected in one quarter hour of a service day; ``quarter`` is the instant it begins.

    By the instant and not by the clock's reading, so that the hour a clock repeats is two. The
    cancelled and those who did not show are left out.
    """

    pk = models.CompositePrimaryKey("restaurant_id", "service_date", "quarter")
    restaurant_id = models.CharField(max_length=50)
    service_date = models.DateField()
    quarter = models.DateTimeField()
    bookings = models.IntegerField(default=0)
    covers = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("arrivals by quarter hour")
        verbose_name_plural = _("arrivals by quarter hour")

    def __str__(self) -> str:
        return f"{self.restaurant_id} {self.quarter:%Y-%m-%d %H:%M}"


class TableDay(models.Model):
    """How long a table is taken on a service day, and by how many bookings."""

    pk = models.CompositePrimaryKey("restaurant_id", "service_date", "table_id")
    restaurant_id = models.CharField(max_length=50)
    service_date = models.DateField()
    table_id = models.CharField(max_length=50)
    bookings = models.IntegerField(default=0)
    minutes = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("figures by table")
        verbose_name_plural = _("figures by table")

    def __str__(self) -> str:
        return f"{self.table_id} {self.service_date}"


class DayVersion(models.Model):
    """How often a sector's service day has changed; counted by triggers (migration 0002).

    What was worked out from a day is good for as long as its number stands.
    """

    pk = models.CompositePrimaryKey("sector_id", "service_date")
    sector_id = models.CharField(max_length=50)
    service_date = models.DateField()
    version = models.BigIntegerField()

    class Meta:
        verbose_name = _("version of a day")
        verbose_name_plural = _("versions of days")

    def __str__(self) -> str:
        return f"{self.sector_id} {self.service_date} v{self.version}"
