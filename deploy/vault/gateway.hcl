# What a running gateway may do: read its entries (vault-kv), sign with its keys (vault-transit), keep its own token.
# It can write nothing, and no key of Transit can be read. Leave out the half that you do not use.

path "secret/data/signer/*" {
  capabilities = ["read"]
}

path "signer-transit/hmac/+/sha2-512" {
  capabilities = ["update"]
}

# The next two are for venues whose keys sign by HMAC-SHA256, or by Ed25519, ECDSA or RSA. Leave out what you do not use.
path "signer-transit/hmac/+/sha2-256" {
  capabilities = ["update"]
}

path "signer-transit/sign/+/sha2-256" {
  capabilities = ["update"]
}

# Type, versions and whether a key can be exported; never a key.
path "signer-transit/keys/+" {
  capabilities = ["read"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

# To warn if the token may do more than this.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
