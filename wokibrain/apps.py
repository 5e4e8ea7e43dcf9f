from django.apps import AppConfig
from django.conf import settings

from wokibrain.checks import refuse_unsafe


class WokiBrainConfig(AppConfig):
    name = "wokibrain"
    verbose_name = "WokiBrain"

    def ready(self) -> None:
        refuse_unsafe(settings)
