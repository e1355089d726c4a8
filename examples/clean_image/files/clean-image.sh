#!/bin/sh
# Removes what belongs to one machine, so that an image of it holds nothing of that. The last thing a bake's job does: it
# takes the ssh host keys away, without which sshd lets no new connection in. Keys that let users in stay, but for that
# of the builder's key pair, which EC2 gives to the first boot of every instance.
# The first argument, for tests: a directory in the place of /.
set -eu
root="${1:-}"

# The machine id: an empty file is filled at the first boot, one that is missing or filled is not (machine-id(5)).
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"

# Cloud-init's state, by which it takes a first boot for a later one: no host keys, no user data, no hostname.
if [ -z "$root" ] && command -v cloud-init > /dev/null; then
    cloud-init clean --logs
fi
rm -rf "$root/var/lib/cloud/instance" "$root/var/lib/cloud/instances" "$root/var/lib/cloud/data" "$root/var/lib/cloud/sem"

# Chef: the key of this node, the validator's, and the name. A node of that name would be every instance.
rm -f "$root/etc/chef/client.pem" "$root/etc/chef/validation.pem" "$root/etc/chef/first-boot.json"
rm -rf "$root/var/chef/cache" "$root/var/chef/backup"

# The agent of Systems Manager, and what a network service knows of this machine.
rm -rf "$root/var/lib/amazon/ssm/Vault" "$root/var/lib/amazon/ssm/registration"
rm -rf "$root"/var/lib/dhcp/* "$root"/var/lib/NetworkManager/*.lease
rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret"

# The stop of the builder is a shutdown, at which systemd would save a seed anew (systemd-random-seed(8)). Until then the
# service does nothing as it stops; what is in /run is not in the image.
runtime="$root/run/systemd/system"
if [ -d "$runtime" ]; then  # systemd runs (sd_booted(3))
    mkdir -p "$runtime/systemd-random-seed.service.d"
    printf '[Service]\nExecStop=\n' > "$runtime/systemd-random-seed.service.d/not-saved.conf"
    if [ -z "$root" ]; then
        systemctl daemon-reload
    fi
fi

# Logs and histories.
if [ -z "$root" ] && command -v journalctl > /dev/null; then
    journalctl --quiet --rotate --vacuum-time=1s || true  # one that is not kept on disk has nothing to remove
fi
rm -rf "$root"/var/log/journal/*
if [ -d "$root/var/log" ]; then
    find "$root/var/log" -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*-[0-9]*' \) -exec rm -f {} +
    find "$root/var/log" -type f -exec sh -c 'for each; do : > "$each"; done' sh {} +
fi
# The public key of the builder's key pair, without its type and name; empty where it has none.
pair_key() {
    metadata=http://169.254.169.254/latest
    token="$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token")" || return 0
    curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/public-keys/0/openssh-key" | cut -d ' ' -f 2
}

key="$(pair_key)"
for home in "$root/root" "$root"/home/*; do
    rm -f "$home/.bash_history" "$home/.ssh/known_hosts"
    rm -rf "$home/.ansible/tmp"
    keys="$home/.ssh/authorized_keys"
    if [ -n "$key" ] && [ -f "$keys" ]; then
        others="$(grep -vF -- "$key" "$keys" || true)"
        printf '%s' "${others:+$others
}" > "$keys"
    fi
done

# The ssh host keys, last: cloud-init, or the service sshd-keygen, makes new ones at the first boot.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
sync
