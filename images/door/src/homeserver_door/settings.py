"""Django's settings. The owner's settings are in the configuration, which `home` reads."""

from homeserver_door import home

_NOW = home.current()

SECRET_KEY = home.secret("django-key")
DEBUG = False
# The middleware `hosts` knows which hosts there are; nothing else reaches Django.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "homeserver_door.urls.login"
WSGI_APPLICATION = "homeserver_door.wsgi.application"
AUTH_USER_MODEL = "door.Person"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_I18N = False
USE_TZ = True

INSTALLED_APPS = [
    "homeserver_door.apps.Door",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "allauth",
    "allauth.account",
    "allauth.idp.oidc",
    "allauth.mfa",
    "allauth.usersessions",
]
MIDDLEWARE = [
    "homeserver_door.hosts.Hosts",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "homeserver_door.sessions.Ages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "homeserver_door.pages.context",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": home.DATA / "door.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 10,
            # Otherwise a transaction that first reads fails where another one writes.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-512;",
        },
    }
}
# Rate limits and codes of devices. There is one process, so its memory is enough; a flood must not empty it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 20000},
    }
}
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
STATIC_URL = "/static/"

# Traefik redirects HTTP, and sends Strict-Transport-Security: it holds the certificate.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_NAME = "__Host-session"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = _NOW.session_hours * 3600
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "homeserver_door.pages.forgery"
X_FRAME_OPTIONS = "DENY"

AUTHENTICATION_BACKENDS = ["homeserver_door.adapters.Passwords"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "homeserver_door.hashers.Random",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

ACCOUNT_ADAPTER = "homeserver_door.adapters.Account"
ACCOUNT_USER_MODEL_USERNAME_FIELD = "name"
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "reauthenticate": "10/m/user",
    # Our own.
    "invitation": "10/m/ip",
    "recover": "10/m/ip,5/5m/key",
}

MFA_ADAPTER = "homeserver_door.adapters.Keys"
MFA_SUPPORTED_TYPES = ["webauthn", "recovery_codes", "totp"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODE_DIGITS = 10
MFA_ALLOW_UNVERIFIED_EMAIL = True

IDP_OIDC_ADAPTER = "homeserver_door.adapters.Provider"
IDP_OIDC_PRIVATE_KEY = home.secret("oidc-key.pem")
IDP_OIDC_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
# The same refresh token stays, so that it ends when the session of the login does.
IDP_OIDC_ROTATE_REFRESH_TOKEN = False
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = SESSION_COOKIE_AGE

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "homeserver_door.logs.Lines"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["out"], "level": "WARNING"},
    "loggers": {
        # Its own handler would send mail.
        "django": {"handlers": [], "level": "WARNING"},
        # A client's mistake is in Traefik's log.
        "django.request": {"level": "ERROR"},
        "oauthlib": {"level": "ERROR"},
    },
}
