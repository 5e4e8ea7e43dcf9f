from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from wokibrain.events import actions


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from webhooks import event_types, selectors
        from wokibrain.ops import metrics

        metrics.register_webhook_attempts(selectors.attempts_made)
        actions.register(event_types.ACTIONS)
