"""Django's settings, by concern; .env.example documents each one that the environment may set."""

from wokibrain.settings.api import *
from wokibrain.settings.base import *
from wokibrain.settings.bookings import *
from wokibrain.settings.events import *
from wokibrain.settings.office import *
from wokibrain.settings.security import *
from wokibrain.settings.servers import *
from wokibrain.settings.webhooks import *
