# shellcheck shell=sh
# Sets the password of Grafana's first user, admin, to the one in the directory $1 if that has changed. Grafana itself
# only uses it when it creates its database. A password that is changed in the browser lasts until the next rotation.
set -eu
given="$GF_PATHS_DATA/admin-password.sha256"
digest=$(cat "$1/secret_key" "$1/admin_password" | sha256sum)
if [ "$(cat "$given" 2>/dev/null)" = "$digest" ]; then
    exit 0
fi
if [ -e "$GF_PATHS_DATA/grafana.db" ]; then
    # On the first run in an older home, the owner may have removed that user.
    grafana cli --homepath "$GF_PATHS_HOME" --config "$GF_PATHS_CONFIG" admin reset-admin-password --password-from-stdin \
        <"$1/admin_password" || [ ! -e "$given" ]
fi
umask 077
echo "$digest" >"$given"
