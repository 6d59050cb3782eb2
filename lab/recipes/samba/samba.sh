#!/bin/sh
# What the image's script does before smbd starts, as far as an app of the lab needs it.
set -eu
mkdir -p /etc/samba /var/lib/samba/private /var/cache/samba /var/log/samba /run/samba
# shellcheck disable=SC3028 # UID is a variable of the image
printf '%s\n' 'root:x:0:0::/:/bin/sh' 'nobody:x:65534:65534::/:/bin/false' "$USER:x:$UID:$GID::/tmp:/bin/false" >/etc/passwd
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' "smb:x:$GID:" >/etc/group
cat >/etc/samba/smb.conf <<CONFIGURATION
[global]
server role = standalone server
disable netbios = yes
smb ports = 445
load printers = no
printcap name = /dev/null
[$NAME]
path = /storage
valid users = $USER
force user = $USER
force group = smb
read only = no
CONFIGURATION
printf '%s\n%s\n' "$PASS" "$PASS" | smbpasswd -s -a "$USER" >/dev/null
if [ -z "$(ls -A /storage)" ]; then
  chmod 0770 /storage
  chown "$USER:smb" /storage
fi
exec smbd --foreground --debug-stdout --debuglevel=1 --no-process-group
