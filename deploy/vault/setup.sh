#!/bin/sh
# Sets up a running, unsealed Vault for signer: KV version 2, Transit, AppRole and the two policies beside this script.
# Run it as somebody who may do that (VAULT_TOKEN), as often as you like: what is there stays as it is.
#
#   VAULT_ADDR=https://vault.example:8200 VAULT_TOKEN=… deploy/vault/setup.sh FOLDER
#
# Also read: VAULT_CACERT (file), VAULT_NAMESPACE, and WRAP_TTL (as 10m: the secret-id is response-wrapped).
# Afterwards FOLDER has, each 0600: role-id and secret-id for [stores.NAME.login], and admin-token, good for an hour,
# for `signer keys add --vault-token-file`. The mounts are those that signer.toml takes without being told.
set -eu

out=${1:?"usage: $0 FOLDER (for role-id, secret-id and admin-token)"}
: "${VAULT_ADDR:?the address of Vault}" "${VAULT_TOKEN:?a token that may set up engines, policies and logins}"
here=$(cd "$(dirname "$0")" && pwd)
umask 077
mkdir -p "$out"

# call METHOD PATH [JSON]: the answer; fails on any HTTP error. The token goes by standard input, not by the command
# line, which every user of this machine can read.
call() {
  {
    printf 'header = "X-Vault-Token: %s"\n' "$VAULT_TOKEN"
    if [ -n "${VAULT_NAMESPACE:-}" ]; then printf 'header = "X-Vault-Namespace: %s"\n' "$VAULT_NAMESPACE"; fi
    if [ -n "${VAULT_CACERT:-}" ]; then printf 'cacert = "%s"\n' "$VAULT_CACERT"; fi
    if [ -n "${WRAP:-}" ]; then printf 'header = "X-Vault-Wrap-TTL: %s"\n' "$WRAP"; fi
  } | curl --config - --disable --silent --show-error --fail --noproxy '*' --request "$1" ${3:+--data "$3"} \
    "$VAULT_ADDR/v1/$2"
}

# field NAME: the value of a text field in the JSON on standard input.
field() { tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

# mounted WHERE NAME: whether something is mounted there already.
mounted() { call GET "$1" | tr -d ' \n' | grep -q "\"$2/\":"; }

mounted sys/mounts secret || call POST sys/mounts/secret '{"type": "kv", "options": {"version": "2"}}'
mounted sys/mounts signer-transit || call POST sys/mounts/signer-transit '{"type": "transit"}'
mounted sys/auth approle || call POST sys/auth/approle '{"type": "approle"}'

for policy in gateway admin; do
  call PUT "sys/policies/acl/signer-$policy" "{\"policy\": \"$(base64 <"$here/$policy.hcl" | tr -d '\n')\"}"
done

call POST auth/approle/role/signer-gateway \
  '{"token_policies": "signer-gateway", "token_no_default_policy": true, "token_ttl": "1h", "token_max_ttl": "24h"}'
call GET auth/approle/role/signer-gateway/role-id | field role_id >"$out/role-id"
if [ -n "${WRAP_TTL:-}" ]; then
  (WRAP=$WRAP_TTL; call POST auth/approle/role/signer-gateway/secret-id) | field token >"$out/secret-id"
else
  call POST auth/approle/role/signer-gateway/secret-id | field secret_id >"$out/secret-id"
fi
call POST auth/token/create '{"policies": ["signer-admin"], "no_default_policy": true, "ttl": "1h"}' |
  field client_token >"$out/admin-token"

for file in role-id secret-id admin-token; do
  [ -s "$out/$file" ] || { echo "setup: Vault gave no $file" >&2; exit 1; }
done
echo "Vault is set up; role-id, secret-id and admin-token are in $out"
