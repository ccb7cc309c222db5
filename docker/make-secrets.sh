#!/bin/sh
# Make the secrets that the compose files give to containers as files, once: sh docker/make-secrets.sh
#
# What is there stays. The directory is yours alone; the files in it can be read by the containers' accounts, which are not yours.
set -eu
directory=$(dirname "$0")/secrets
mkdir -p "$directory"
chmod 700 "$directory"
umask 022

random() { head -c 32 /dev/urandom | base64 | tr -d '=\n' | tr '+/' '-_'; }

# password NAME
password() { [ -s "$directory/$1" ] || random >"$directory/$1"; }

# token NAME LIST: the token itself, and in the list its name and SHA-256
token() {
  [ -s "$directory/$1-token" ] && [ -s "$directory/$2" ] && return
  printf 'dtk_%s' "$(random)" >"$directory/$1-token"
  printf '%s sha256:%s\n' "$1" "$(sha256sum <"$directory/$1-token" | cut -d ' ' -f 1)" >>"$directory/$2"
}

password postgres-password
password redis-password
password grafana-password
token prometheus serve-tokens
token reader serve-tokens
token writer collector-tokens
echo "$directory holds them. Who reads features gets reader-token, who sends events writer-token."
