from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from wokibrain.core import readiness, startup


class EventsConfig(AppConfig):
    name = "wokibrain.events"
    label = "events"
    verbose_name = _("Events")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from wokibrain.events.readiness import kafka
        from wokibrain.events.retries import take_up_known_types

        readiness.register("kafka", kafka)
        startup.register(take_up_known_types)
        autodiscover_modules("consumers")
