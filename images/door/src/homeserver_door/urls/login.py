"""The pages of the host of the login."""

from allauth.account import views as account
from django.urls import include, path

from homeserver_door import accounts, invitations, pages, probes, provider, recovery

urlpatterns = [
    path("", accounts.overview, name="account"),
    path("healthz", probes.alive),
    path("readyz", probes.ready),
    path("static/<path:name>", pages.static),
    path("login/", accounts.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("recover/", recovery.page, name="recover"),
    path("invitation/", invitations.enter_code, name="invitation"),
    path("invitation/passkey/", invitations.passkey, name="invitation_passkey"),
    path("invitation/password/", invitations.password, name="invitation_password"),
    path("people/", accounts.people, name="people"),
    path("sessions/end/", accounts.end_sessions, name="end_sessions"),
    path("sessions/", accounts.sessions, name="sessions"),
    path("password/set/", account.password_set, name="account_set_password"),
    path("password/change/", account.password_change, name="account_change_password"),
    # Ours come before allauth's of the same address.
    path("keys/", accounts.overview, name="mfa_index"),
    path("keys/webauthn/login/", accounts.passkey_login),
    path("keys/webauthn/add/", accounts.add_passkey),
    path("keys/authenticate/", accounts.second_factor),
    path("keys/", include("allauth.mfa.urls")),
    path("identity/o/authorize", provider.authorize),
    path("identity/o/device", provider.device),
    path("identity/o/api/token", provider.token),
    path("", include("allauth.idp.urls")),
]
handler403, handler404, handler500 = pages.forbidden, pages.missing, pages.broken
handler429 = pages.too_many
