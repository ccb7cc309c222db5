#!/bin/sh
# A base image from Debian's packages, under the name that the Dockerfile gives its base: sh base.sh NAME. As root, with debootstrap and an engine.
set -eu
name=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mirror=$(sed -n 's/^URIs: *//p; s/^deb \([^[ ][^ ]*\) .*/\1/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,wget bookworm "$root" "$mirror" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb
# The machine's own authorities, with that of a proxy where there is one, for pip, uv and apt in the builds
bundle=/etc/ssl/certs/ca-certificates.crt
cp "$bundle" "$root$bundle"
tar -C "$root" -c . | docker import --change "ENV SSL_CERT_FILE=$bundle PIP_CERT=$bundle" - "$name"
