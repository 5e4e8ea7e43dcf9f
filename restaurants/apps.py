from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _


class RestaurantsConfig(AppConfig):
    name = "restaurants"
    verbose_name = _("Restaurants")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from restaurants import selectors
        from restaurants.services import audit
        from restaurants.services import zones as zone_records
        from wokibrain.core import tenants, zones
        from wokibrain.events import actions

        tenants.register(selectors.zone_of)
        zones.register(selectors.derived_with, selectors.unknown_zones)
        checks.register(zone_records.check_zones, checks.Tags.database)
        actions.register(audit.ACTIONS)
