"""Key stores: where secrets live. One file per backend behind `contracts.KeyStore`."""
