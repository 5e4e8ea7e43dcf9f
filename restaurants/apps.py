from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RestaurantsConfig(AppConfig):
    name = "restaurants"
    verbose_name = _("Restaurants")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from restaurants import selectors
        from restaurants.services import audit
        from wokibrain.core import tenants, zones
        from wokibrain.events import actions

        tenants.register(selectors.zone_of)
        zones.register(selectors.derived_with)
        actions.register(audit.ACTIONS)
