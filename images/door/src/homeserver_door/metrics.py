"""What Prometheus asks."""

from prometheus_client import Counter, Gauge, Histogram

LOGINS = Counter("door_logins", "Logins, by how somebody tried to prove who they are", ["method", "result"])
LOGOUTS = Counter("door_logouts", "Sessions that a person ended")
INVITATIONS = Counter("door_invitations", "Invitations that were made, used or refused", ["event"])
DENIALS = Counter("door_denials", "Requests that were refused", ["reason"])
CODES = Counter("door_authorizations", "Times that a person was passed on to a client", ["client"])
CONFIGURED = Gauge("door_configuration_valid", "Whether the configuration was valid when it last changed")
SECONDS = Histogram(
    "door_request_seconds",
    "Time to answer a request",
    ["pages"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
