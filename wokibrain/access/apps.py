from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from wokibrain.core import retention
from wokibrain.events import actions


class AccessConfig(AppConfig):
    name = "wokibrain.access"
    label = "access"
    verbose_name = _("Access")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from wokibrain.access import audit, password_guard, sessions

        actions.register(audit.ACTIONS)
        retention.register("login sessions", sessions.forget_old)
        retention.register("sign-in counts", password_guard.forget_old)
