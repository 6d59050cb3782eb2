"""What gunicorn serves."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "homeserver_door.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
