# What `signer keys add` and `signer keys remove` need. It can put secrets in and destroy them, but neither read one
# back nor sign with it.

path "secret/data/signer/*" {
  capabilities = ["create", "update"]
}

path "secret/metadata/signer/*" {
  capabilities = ["delete"]
}

path "signer-transit/wrapping_key" {
  capabilities = ["read"]
}

path "signer-transit/keys/+" {
  capabilities = ["read", "delete"]
}

path "signer-transit/keys/+/import" {
  capabilities = ["update"]
}

# A key of Transit can be deleted only after its deletion was allowed.
path "signer-transit/keys/+/config" {
  capabilities = ["update"]
}
