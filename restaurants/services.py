"""The writers of restaurants, sectors and tables.

Whoever changes what decides availability does it inside ``guards.guarded``: a change that would
strand future bookings is refused until the caller acknowledges the list. Each change is entered in
the audit trail, in its transaction (``trail.entered``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models.deletion import ProtectedError
from django.utils.translation import gettext_lazy as _

from restaurants.guards import guarded
from restaurants.models import (
    Combo,
    ComboTable,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    Table,
    TableJoin,
    TurnTime,
    Weekday,
)
from restaurants.selectors import get_restaurant, get_sector, get_table
from restaurants.trail import SPELLED, entered
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import Conflict, Forbidden, Issue, NotFound, Text, ValidationFailed


@dataclass(frozen=True, slots=True)
class Hours:
    """A service window, wall clock; ``weekday`` (0 = Monday) None means every day."""

    opens: time
    closes: time
    last_seating: time | None = None
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class SpecialHours:
    """A date with windows of its own, or closed when it has none."""

    date: date
    name: str = ""
    hours: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Parties of up to ``party_up_to`` stay so many minutes."""

    party_up_to: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """What a restaurant keeps in rows of their own; None leaves a part as it is."""

    hours: Sequence[Hours] | None = None
    special: Sequence[SpecialHours] | None = None
    turns: Sequence[Turn] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A set of 2-4 tables and whom it seats."""

    table_ids: frozenset[str]
    capacity_min: int
    capacity_max: int


DEFAULT_HOURS: Final = (Hours(time(12), time(16)), Hours(time(20), time(23, 45)))
"""What a restaurant serves until it says otherwise: lunch and dinner, every day."""

HARMLESS: Final[Mapping[type[models.Model], frozenset[str]]] = {
    Restaurant: frozenset(
        {
            "name", "min_party", "max_party", "min_duration", "max_duration", "refuse_past", "lead_minutes",
            "horizon_days",
        }
    ),
    Sector: frozenset({"name", "position"}),
    Table: frozenset({"name", "position", "x", "y", "width", "height", "shape"}),
}  # fmt: skip
"""Fields that no booking loses its place by: how things are called and drawn, and bounds for new bookings."""

Row = TypeVar("Row", bound=models.Model)


def create_restaurant(
    *,
    caller: Caller,
    id: str | None = None,
    name: str,
    zone: str,
    hours: Sequence[Hours] = DEFAULT_HOURS,
    special: Sequence[SpecialHours] = (),
    turns: Sequence[Turn] = (),
    **settings: Any,
) -> Restaurant:
    """A new restaurant with its calendar; ``settings``: other fields of the model.

    Raises ValidationFailed, for an id that is taken too.
    """
    caller.require_somewhere(Permission.RESTAURANT_CREATE)
    if caller.restaurants(Permission.RESTAURANT_CREATE) is not None:
        raise Forbidden
    restaurant = Restaurant(name=name, zone=zone, **settings)
    if id is not None:
        restaurant.id = id
    with transaction.atomic(), entered(caller, "RestaurantCreated", restaurant):
        _insert(restaurant)
        _set_calendar(restaurant, Calendar(hours, special, turns))
    return restaurant


def update_restaurant(
    *,
    caller: Caller,
    restaurant_id: str,
    settings: Mapping[str, Any],
    calendar: Calendar,
    acknowledge: str | None = None,
) -> Restaurant:
    """Change a restaurant: ``settings`` are fields of the model.

    Raises NotFound, Forbidden, ValidationFailed, and StrandsBookings (see ``guards.guarded``).
    """
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    strands = _may_strand(Restaurant, settings) or (calendar.hours, calendar.special) != (None, None)
    with guarded(restaurant_id, acknowledge, caller=caller, strands=strands):
        _renew(restaurant)
        with entered(caller, "RestaurantUpdated", restaurant):
            _update(restaurant, settings)
            _set_calendar(restaurant, calendar)
    return restaurant


def delete_restaurant(*, caller: Caller, restaurant_id: str) -> None:
    """Delete a restaurant that never had a booking, with all it has. Raises NotFound, Forbidden, Conflict."""
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_DELETE
    )
    with transaction.atomic(), entered(caller, "RestaurantDeleted", restaurant):
        _delete(restaurant, _("This restaurant has bookings; it cannot be deleted."))


def create_sector(
    *,
    caller: Caller,
    id: str | None = None,
    restaurant_id: str,
    name: str,
    position: int = 0,
) -> Sector:
    """A new sector of a restaurant. Raises NotFound, Forbidden, ValidationFailed."""
    caller.require(Permission.TABLE_CREATE, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    sector = Sector(restaurant_id=restaurant_id, name=name, position=position)
    if id is not None:
        sector.id = id
    with transaction.atomic(), entered(caller, "SectorCreated", sector):
        return _insert(sector)


def update_sector(
    *,
    caller: Caller,
    sector_id: str,
    settings: Mapping[str, Any],
    joins: Sequence[frozenset[str]] | None = None,
    combos: Sequence[Joined] | None = None,
    acknowledge: str | None = None,
) -> Sector:
    """Change a sector: its fields, which pairs of tables join, what a combo seats; None leaves a part.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)
    strands = _may_strand(Sector, settings) or (joins, combos) != (None, None)
    with guarded(sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        _renew(sector)
        with entered(caller, "SectorUpdated", sector):
            _update(sector, settings)
            if joins is not None:
                _set_joins(sector, joins)
            if combos is not None:
                _set_combos(sector, combos)
    return get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)


def delete_sector(*, caller: Caller, sector_id: str) -> None:
    """Delete a sector that never had a booking, with its tables. Raises NotFound, Forbidden, Conflict."""
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_DELETE)
    with transaction.atomic(), entered(caller, "SectorDeleted", sector):
        _delete(sector, _("This sector has bookings or blocks; deactivate its tables instead."))


def create_table(
    *,
    caller: Caller,
    id: str | None = None,
    sector_id: str,
    capacity_min: int,
    capacity_max: int,
    name: str = "",
    **rest: Any,
) -> Table:
    """A new table in a sector. ``rest``: other fields of the model.

    Raises NotFound, Forbidden, ValidationFailed.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_CREATE)
    table = Table(sector=sector, capacity_min=capacity_min, capacity_max=capacity_max, name=name, **rest)
    if id is not None:
        table.id = id
    with transaction.atomic(), entered(caller, "TableCreated", table):
        return _insert(table)


def update_table(
    *, caller: Caller, table_id: str, settings: Mapping[str, Any], acknowledge: str | None = None
) -> Table:
    """Change a table's fields, except its sector: what is booked there carries the sector.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_UPDATE)
    strands = _may_strand(Table, settings)
    with guarded(table.sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        _renew(table)
        with entered(caller, "TableUpdated", table):
            _update(table, settings)
    return table


def update_tables(
    *,
    caller: Caller,
    sector_id: str,
    changes: Mapping[str, Mapping[str, Any]],
    acknowledge: str | None = None,
) -> None:
    """Change several tables of a sector, all or none; ``changes``: table id -> fields of the model.

    Raises NotFound, Forbidden, ValidationFailed, and StrandsBookings once for all of them.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)
    strands = any(_may_strand(Table, settings) for settings in changes.values())
    with guarded(sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        tables = (
            Table.objects.select_for_update(of=("self",), no_key=True)
            .filter(sector=sector)
            .select_related("sector")
            .order_by("pk")
            .in_bulk(list(changes))
        )
        if len(tables) != len(changes):
            raise NotFound.at("tableId")
        for table_id, settings in changes.items():
            with entered(caller, "TableUpdated", tables[table_id]):
                _update(tables[table_id], settings)


def delete_table(*, caller: Caller, table_id: str, acknowledge: str | None = None) -> None:
    """Delete a table that nothing was ever held on; the joins and combos it is part of go with it.

    Raises NotFound, Forbidden, Conflict, StrandsBookings.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_DELETE)
    with (
        guarded(table.sector.restaurant_id, acknowledge, caller=caller),
        entered(caller, "SectorUpdated", table.sector),
        entered(caller, "TableDeleted", table),
    ):
        Combo.objects.filter(members__table=table).delete()
        _delete(table, _("This table has bookings or blocks; set `active` to false instead."))


def save(row: Row, *, whole: str = "body", fields: Collection[str] | None = None) -> Row:
    """Validate and save a row. Raises ValidationFailed with each issue at the field as the API spells it.

    ``whole`` is named for what is wrong with no field alone; ``fields`` are what is written, all by default.
    """
    try:
        row.full_clean()
    except ValidationError as error:
        raise _failed(error, whole) from error
    row.save(update_fields=fields)
    return row


def _insert(row: Row) -> Row:
    """Save a row that is new. Raises ValidationFailed, also where its id is taken, by whomever: ids are global."""
    taken = ValidationFailed.at("id", _("This id is taken."))
    if type(row)._default_manager.filter(pk=row.pk).exists():
        raise taken
    try:
        row.full_clean(validate_unique=False)
    except ValidationError as error:
        raise _failed(error) from error
    try:
        with transaction.atomic():
            # Never an update: between the look and the write somebody else may have taken the id.
            row.save(force_insert=True)
    except IntegrityError as error:
        raise taken from error
    return row


def _renew(row: Row) -> None:
    """Read the row again and keep others from it: it was read before the plan's lock. Raises NotFound."""
    try:
        row.refresh_from_db(from_queryset=type(row)._default_manager.select_for_update(no_key=True))
    except ObjectDoesNotExist as error:
        raise NotFound from error


def _may_strand(model: type[models.Model], settings: Mapping[str, Any]) -> bool:
    return not settings.keys() <= HARMLESS[model]


def _update(row: Restaurant | Sector | Table, settings: Mapping[str, Any]) -> None:
    if settings:
        for field, value in settings.items():
            setattr(row, field, value)
        save(row, fields=[*settings, "updated_at"])


def _delete(row: models.Model, refusal: Text) -> None:
    try:
        with transaction.atomic():
            row.delete()
    except (ProtectedError, IntegrityError) as error:
        raise Conflict(refusal) from error


def _set_calendar(restaurant: Restaurant, calendar: Calendar) -> None:
    if calendar.hours is not None:
        set_hours(restaurant, calendar.hours)
    if calendar.special is not None:
        SpecialDay.objects.filter(restaurant=restaurant).delete()
        for each in calendar.special:
            day = save(SpecialDay(restaurant=restaurant, date=each.date, name=each.name), whole="specialDays")
            for hours in each.hours:
                save(
                    SpecialWindow(
                        day=day, opens=hours.opens, closes=hours.closes, last_seating=hours.last_seating
                    ),
                    whole="specialDays",
                )
    if calendar.turns is not None:
        TurnTime.objects.filter(restaurant=restaurant).delete()
        for turn in calendar.turns:
            row = TurnTime(restaurant=restaurant, party_up_to=turn.party_up_to, minutes=turn.minutes)
            save(row, whole="turnTimes")


def set_hours(restaurant: Restaurant, hours: Iterable[Hours]) -> None:
    """Replace the weekly windows."""
    ServiceWindow.objects.filter(restaurant=restaurant).delete()
    windows = [
        ServiceWindow(
            restaurant=restaurant,
            weekday=weekday,
            opens=each.opens,
            closes=each.closes,
            last_seating=each.last_seating,
        )
        for each in hours
        for weekday in (Weekday.values if each.weekday is None else [each.weekday])
    ]
    try:
        with transaction.atomic():
            ServiceWindow.objects.bulk_create(windows)
    except IntegrityError:
        # One by one, to say what is wrong.
        for window in windows:
            save(window, whole="windows")


def _set_joins(sector: Sector, joins: Sequence[frozenset[str]]) -> None:
    TableJoin.objects.filter(sector=sector).delete()
    known = _tables_of(sector)
    for pair in set(joins):
        if not pair <= known:
            raise NotFound.at("joins")
        first, second = sorted(pair)
        save(TableJoin(sector=sector, first_id=first, second_id=second), whole="joins")


def _set_combos(sector: Sector, combos: Sequence[Joined]) -> None:
    Combo.objects.filter(sector=sector).delete()
    known = _tables_of(sector)
    for each in combos:
        if not each.table_ids <= known:
            raise NotFound.at("combos")
        members = sorted(each.table_ids)
        combo = save(
            Combo(
                sector=sector,
                key="+".join(members),
                capacity_min=each.capacity_min,
                capacity_max=each.capacity_max,
            ),
            whole="combos",
        )
        for table_id in members:
            save(ComboTable(combo=combo, sector=sector, table_id=table_id), whole="combos")


def _tables_of(sector: Sector) -> set[str]:
    return set(Table.objects.filter(sector=sector).values_list("id", flat=True))


def _failed(error: ValidationError, whole: str = "body") -> ValidationFailed:
    issues = [
        Issue(whole if field == NON_FIELD_ERRORS else SPELLED.get(field, field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return ValidationFailed(issues[0].message if len(issues) == 1 else "", issues=issues)
