# shellcheck shell=sh
# Gives Grafana's first user, admin, the password in the directory $1, unless it is the one that it was given last. Grafana
# itself takes it over only when it makes its database. One that is changed in the browser so lasts until the next rotation.
set -eu
given="$GF_PATHS_DATA/admin-password.sha256"
digest=$(cat "$1/secret_key" "$1/admin_password" | sha256sum)
if [ "$(cat "$given" 2>/dev/null)" = "$digest" ]; then
    exit 0
fi
if [ -e "$GF_PATHS_DATA/grafana.db" ]; then
    # The first time, in an older home, its owner may have removed that user.
    grafana cli --homepath "$GF_PATHS_HOME" --config "$GF_PATHS_CONFIG" admin reset-admin-password --password-from-stdin \
        <"$1/admin_password" || [ ! -e "$given" ]
fi
umask 077
echo "$digest" >"$given"
