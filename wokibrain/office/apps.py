from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from wokibrain.core import retention


class OfficeConfig(AppConfig):
    name = "wokibrain.office"
    label = "office"
    verbose_name = _("Back office")

    def ready(self) -> None:
        from wokibrain.office import sessions

        retention.register("back-office sessions", sessions.forget_expired)
