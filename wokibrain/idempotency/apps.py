from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from wokibrain.core import retention


class IdempotencyConfig(AppConfig):
    name = "wokibrain.idempotency"
    label = "idempotency"
    verbose_name = _("idempotency keys")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from wokibrain.idempotency import keys

        retention.register("stored answers", keys.forget)
