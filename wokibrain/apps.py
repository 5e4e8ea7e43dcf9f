from django.apps import AppConfig
from django.conf import settings

from wokibrain.core import readiness, startup, zones
from wokibrain.ops.production_checks import refuse_unsafe


class WokiBrainConfig(AppConfig):
    name = "wokibrain"
    verbose_name = "WokiBrain"

    def ready(self) -> None:
        # Makes this Celery application the one that every @shared_task belongs to.
        from wokibrain import celery  # noqa: F401
        from wokibrain.ops import health

        readiness.register("database", health.database)
        readiness.register("redis", health.redis)
        startup.register(zones.warn_of_difference)
        refuse_unsafe(settings)
