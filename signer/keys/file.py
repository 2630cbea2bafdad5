"""The encrypted key store in one file (docs/key-store.md): reading gives handles, writing is for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Unpack, final

from typing_extensions import override

from signer.contracts import ClientKey, KeyStore, SigningStore
from signer.errors import KeyStoreError
from signer.home.private_file import exclusively
from signer.home.settings import HOME_FILE
from signer.keys.entries import AboutT, ClientChange, CredentialChange, Editor, described, no_such
from signer.keys.envelope import AboutClient, AboutCredential, Former, SealedEntry
from signer.keys.infos import client_info, credential_info, former_info
from signer.keys.key_pair import PrivateKey, signing_handle
from signer.keys.renewal import read_envelope
from signer.keys.sealed_file import ClientHandles, SealedFile
from signer.model import Algorithm, ClientInfo, CredentialInfo, Network, Role
from signer.secret import ApiPassphrase, HmacKey, Secret


@final
class FileKeyStore(SealedFile, KeyStore):
    """Keeps credentials and clients in one sealed file."""

    @override
    def credentials(self) -> Sequence[CredentialInfo]:
        return [credential_info(about) for about in self._all(AboutCredential)]

    def credential(self, name: str) -> CredentialInfo:
        """Return the credential of that name. Raises `KeyStoreError` if there is none."""
        known = self.credentials()
        found = next((info for info in known if info.name == name), None)
        if found is None:
            raise no_such("credential", name, [info.name for info in known], str(self._path))
        return found

    def names(self, info: CredentialInfo) -> bool:
        """Tell whether the file, as it is on the disk now, has exactly this credential. True if it does not read."""
        try:
            entries = read_envelope(self._path).entries
        except KeyStoreError:
            return True
        return any(isinstance(one.about, AboutCredential) and credential_info(one.about) == info for one in entries)

    @override
    def clients(self) -> Sequence[ClientInfo]:
        return [client_info(about) for about in self._all(AboutClient)]

    @override
    def signing_key(self, credential: str, algorithm: Algorithm) -> HmacKey | PrivateKey:
        key = self._signing.get(credential)
        if key is None:
            raise no_such("credential", credential, list(self._signing), str(self._path))
        self._require(algorithm, key.algorithm, f"credential {credential}", "rotate it, or remove it and add it anew")
        return key

    @override
    def client_key(self, client: str, algorithm: Algorithm) -> ClientKey:
        key = self._client(client).key
        self._require(algorithm, key.algorithm, f"client {client}", f"rotate it: `signer clients rotate {client}`")
        return key

    @override
    def client_passphrase(self, client: str) -> ApiPassphrase | None:
        return self._client(client).passphrase

    def add_credential(
        self,
        name: str,
        account: str,
        api_key: str,
        secret: Secret,
        *,
        created_us: int,
        role: Role = Role.TRADE,
        algorithm: Algorithm = Algorithm.HMAC_SHA512,
        elsewhere: tuple[str, SigningStore] | None = None,
    ) -> None:
        """Keep a real credential. Raises `KeyStoreError`: the name or the key is taken, or malformed.

        ``elsewhere`` names the store that keeps the secret in place of this file, which then holds the entry only.
        """
        about = described(
            AboutCredential,
            str(self._path),
            name=name,
            account=account,
            api_key=api_key,
            created_us=created_us,
            role=role,
            algorithm=algorithm,
            has_passphrase=secret.passphrase is not None,
            store=elsewhere[0] if elsewhere else HOME_FILE,
        )
        self._require_own_pairs([signing_handle(secret, algorithm)], [one.key for one in self._verifying.values()])
        if elsewhere is None:
            self._write(lambda editor: editor.added(about, secret))
        else:
            self._add_elsewhere(about, secret, elsewhere[1])

    def _add_elsewhere(self, about: AboutCredential, secret: Secret, store: SigningStore) -> None:
        if about.has_passphrase and not store.keeps_passphrases:
            hint = "keep this key in the key file or in Vault's KV"
            raise KeyStoreError("this store keeps no passphrase", where=f"store {about.store}", hint=hint)

        def added(editor: Editor) -> Sequence[SealedEntry]:
            # An interrupt leaves a secret that no entry names, and that the next attempt replaces; never the reverse.
            entries = editor.added(about, Secret(b""))
            store.add(credential_info(about), secret)
            return entries

        self._write(added)

    def replace_credential(self, new: CredentialInfo, secret: Secret | None) -> None:
        """Keep the key ``new`` under its name; ``secret`` is None if the store of its account keeps it by now.

        Raises `KeyStoreError` if there is no such credential, or the key is taken or malformed.
        """
        change = CredentialChange(
            api_key=new.api_key,
            created_us=new.created_us,
            algorithm=new.algorithm,
            has_passphrase=new.has_passphrase,
        )
        if secret is not None:
            real = signing_handle(secret, new.algorithm)
            self._require_own_pairs([real], [one.key for one in self._verifying.values()])
        self._write(lambda editor: editor.rekeyed(new.name, change, secret or Secret(b"")))

    def move_credential(self, name: str, to: str, secret: Secret | None) -> None:
        """Say that ``to`` keeps the secret from now on; ``secret`` is given if ``to`` is this file.

        Raises `KeyStoreError`.
        """
        self._write(lambda editor: editor.rekeyed(name, {"store": to}, secret or Secret(b"")))

    def hand_over(self, name: str, to: SigningStore, info: CredentialInfo) -> None:
        """Have ``to`` keep a copy of a credential's secret that is in this file. Raises `KeyStoreError`."""
        with exclusively(self._path):
            current = self._read_again()
            secret = Editor(current, str(self._path), self._keys, self._random_bytes).secret("credential", name)
        to.add(info, secret)
        secret.wipe()

    def remove_credential(self, name: str, elsewhere: SigningStore | None = None) -> None:
        """Forget a real credential for good, in the store ``elsewhere`` first. Raises `KeyStoreError` if there is none
        of that name, or the store does not destroy it."""

        def removed(editor: Editor) -> Sequence[SealedEntry]:
            entries = editor.removed("credential", name)
            gone = next(entry.about for entry in editor.current.entries if entry not in entries)
            if elsewhere is not None and isinstance(gone, AboutCredential):
                elsewhere.remove(credential_info(gone))
            return entries

        self._write(removed)

    def add_client(
        self,
        name: str,
        account: str,
        policy: str,
        api_key: str,
        secret: Secret,
        algorithm: Algorithm = Algorithm.HMAC_SHA512,
        *,
        created_us: int,
        sources: tuple[Network, ...] = (),
        expires_us: int | None = None,
        nonces: Literal["window", "strict"] = "window",
    ) -> None:
        """Keep a client and its virtual credential; one of the same name is replaced only if it was revoked.

        ``secret`` is the one that both sides share, or the client's public key. Raises `KeyStoreError`: the name or the
        key is taken, or malformed.
        """
        about = described(
            AboutClient,
            str(self._path),
            name=name,
            account=account,
            policy=policy,
            api_key=api_key,
            sources=sources,
            expires_us=expires_us,
            nonces=nonces,
            revoked=False,
            created_us=created_us,
            algorithm=algorithm,
            has_passphrase=secret.passphrase is not None,
        )
        self._require_own_pairs(self._signing.values(), [secret.client_key(algorithm)])
        self._write(lambda editor: editor.added(about, secret))

    def update_client(self, name: str, secret: Secret | None = None, **change: Unpack[ClientChange]) -> None:
        """Change what is said of a client; ``secret`` comes with a new ``api_key`` (rotation).

        Raises `KeyStoreError` if there is no such client, or it is revoked: a revoked client does not come back.
        """
        self._write(lambda editor: editor.changed(name, change, secret))

    def rotate_client(
        self,
        name: str,
        api_key: str,
        secret: Secret,
        algorithm: Algorithm = Algorithm.HMAC_SHA512,
        *,
        created_us: int,
        old_until_us: int | None = None,
    ) -> None:
        """Give a client another credential; the old one passes until ``old_until_us``, if given, an older one no more.

        Raises `KeyStoreError` as `update_client` does.
        """
        change = ClientChange(
            api_key=api_key,
            created_us=created_us,
            algorithm=algorithm,
            has_passphrase=secret.passphrase is not None,
        )
        self._require_own_pairs(self._signing.values(), [secret.client_key(algorithm)])
        if old_until_us is None:
            self._write(lambda editor: editor.changed(name, change, secret))
        else:
            self._write(lambda editor: editor.overlapping(name, change, secret, old_until_us))

    def former(self) -> Sequence[ClientInfo]:
        """List clients as they were before a rotation, while the old credential passes."""
        now = {about.name: about for about in self._all(AboutClient)}
        return [former_info(about, now[about.name]) for about in self._all(Former)]

    def former_clients(self) -> Sequence[tuple[ClientInfo, ClientHandles]]:
        """List the clients of `former`, each with the handles of its old credential."""
        return [(info, self._verifying["former", info.name]) for info in self.former()]

    def _require_own_pairs(self, real: Iterable[HmacKey | PrivateKey], clients: Sequence[ClientKey]) -> None:
        """Raise `KeyStoreError` if a real key and a client's are one pair: the bot would have the real private key."""
        for key in real:
            if isinstance(key, PrivateKey) and any(map(key.is_half_of, clients)):
                what = "a client has the key pair of a real credential, so its bot has the real private key"
                raise KeyStoreError(what, where=str(self._path), hint="make a pair of its own for the client")

    def _client(self, name: str) -> ClientHandles:
        handles = self._verifying.get(("client", name))
        if handles is None:
            raise no_such("client", name, [info.name for info in self.clients()], str(self._path))
        return handles

    def _require(self, wanted: Algorithm, known: Algorithm, what: str, hint: str) -> None:
        if wanted is not known:
            raise KeyStoreError(f"{what} signs by {known}, not by {wanted}", where=str(self._path), hint=hint)

    def _all(self, kind: type[AboutT]) -> list[AboutT]:
        abouts = [entry.about for entry in self._envelope.entries]
        return sorted((about for about in abouts if isinstance(about, kind)), key=lambda about: about.name)
