from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from wokibrain.core import retention, startup


class BookingsConfig(AppConfig):
    name = "bookings"
    verbose_name = _("Bookings")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from bookings import event_types  # noqa: F401 - registers them
        from bookings.services import guests, zones
        from bookings.services.plan_changes import PlanWatch
        from restaurants.services import plan_guard

        plan_guard.register(PlanWatch)
        startup.register(zones.at_start)
        retention.register("guests erased", guests.erase_expired)
