#!/bin/sh
# Install the named Debian packages, unless all are there: on a baked image even asking the mirrors would take seconds.
# cloud-init's own `packages` asks always, and goes on with the next step when it fails.
set -eu

installed=$(dpkg-query --show --showformat='${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed || true)
if [ "$installed" -eq $# ]; then
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get -qy --no-install-recommends -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-unsafe-io install "$@"
}

# With the image's own package lists, if it has any. They may be too old for the mirrors: then with fresh ones. Nothing
# is upgraded, or machines of one launch template would differ.
install "$@" && exit 0
for pause in 2 5 10 20 0; do
    apt-get -q -o Acquire::Languages=none update && install "$@" && exit 0
    sleep "$pause"
done
echo "expressway: these packages can't be installed: $*" >&2
exit 1
