"""Reads signer.toml: which accounts there are, where they trade, and how the gateway listens.

An unknown key, a wrong type, or a wide listen address without its waiver stops the start. The message names file, key
and hint (*Must hold* 1, 8, 9).
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from signer.errors import ConfigError
from signer.home.checked import Count, Reason, Seconds, Strict, check_addresses, check_name, check_origin
from signer.home.hints import hint
from signer.home.limits import LimitsConfig
from signer.home.listener import Listener
from signer.home.stores import Pkcs11Config, StoreConfig

DEFAULT_VENUE = "kraken"
DEFAULT_ORIGIN = "https://api.kraken.com"
CONFIG_VERSION = 1
MOST_CLIENTS = 500
"""Clients of a group: the file of a brake names them all."""
Listen: TypeAlias = str | list[str] | dict[str, str | list[str]]
"""Addresses of listeners: one, several, or those of each venue by its name."""
HOME_FILE = "file"
"""The name of the store that every home has: the encrypted file in it."""


class TlsConfig(Strict):
    """``[gateway.tls]``: the certificates of listeners with ``tls://``. Paths are relative to the home."""

    certificate: str = ""
    """PEM file with the certificate and those up to its CA, a path from the home. Empty: that of `signer tls init`."""
    key: str = ""
    """PEM file with the certificate's private key, not encrypted."""
    client_ca: str = ""
    """PEM file of the CA of the bots' own certificates. If given, each bot must show one whose CN is its client's name.
    """

    @model_validator(mode="after")
    def _together(self) -> TlsConfig:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together; give both, or neither for that of `signer tls init`")
        return self


class GatewayConfig(Strict):
    """``[gateway]``: where bots connect."""

    listen: str | list[str] | dict[str, str | list[str]] = "127.0.0.1:8787"
    """Where bots connect: one or a list of ``address:port``, ``tls://address:port`` and ``unix:/path``. With accounts
    at several venues it is a table with those of each, by its name: a listener serves one venue."""
    allow_wide_listen: str = ""
    """Why the gateway may listen beyond loopback in plain HTTP. Every start warns of it. Empty: it may not."""
    tls: TlsConfig = Field(default_factory=TlsConfig)
    socket_group: str = ""
    """Group whose members may connect to the unix sockets. Empty: only the gateway's own user may."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Networks of reverse proxies (``"10.0.0.7/32"``), or ``"unix"``, whose ``X-Forwarded-For`` is believed."""
    public_origin: str = ""
    """Where public calls go. Empty: to the origin of the first account, or of the first at each of several venues."""
    public_resolve: list[str] = Field(default_factory=list)
    """Addresses of the host of ``public_origin``, if the resolver is not to be asked."""
    public_calls_per_second: Count = 20
    """Public calls per second of each source, with a burst of ten seconds' worth."""
    excess_permissions: Literal["warn", "refuse"] = "warn"
    """What to do with a real key whose permissions exceed its clients' needs, none of them dangerous: warn of it at
    every start, in ``doctor`` and in metrics, or send no call by it."""
    max_connections: Count = 1024
    """Connections from bots at once, counted before any TLS handshake. With several listeners half of them is kept
    for each in equal parts."""
    body_seconds: Seconds = 10.0
    """Seconds that a client may take to send the head of its first request, and the body of each."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The listeners that ``listen`` names, in its order."""
        return tuple(Listener.parse(text) for text in _listed(self.listen))

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: Listen) -> Listen:
        listeners = [Listener.parse(text) for text in _listed(value)]
        if not listeners or (isinstance(value, dict) and not all(value.values())):
            raise ValueError('name at least one address, such as "127.0.0.1:8787"')
        fixed = [listener.bind for listener in listeners if listener.kind == "unix" or listener.port]
        if len(set(fixed)) < len(fixed):
            raise ValueError("an address stands twice; name each once")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: list[str]) -> list[str]:
        for text in value:
            if text != "unix":
                _network(text)
        return value

    @field_validator("public_resolve")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        return check_addresses(value)

    @model_validator(mode="after")
    def _loopback_by_default(self) -> GatewayConfig:
        for listener in self.listeners:
            if listener.kind == "tcp" and listener.wide and not self.allow_wide_listen:
                raise ValueError(
                    f'listen = "{listener}" reaches beyond this machine; use 127.0.0.1, or "tls://{listener}", or say '
                    'why in allow_wide_listen = "reason"'
                )
        return self

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> GatewayConfig:
        kinds = {listener.kind for listener in self.listeners}
        if self.tls != TlsConfig() and "tls" not in kinds:
            raise ValueError('[gateway.tls] is for TLS, and listen names no "tls://…"; add one, or remove the table')
        if self.socket_group and "unix" not in kinds:
            raise ValueError('socket_group is for unix sockets, and listen names no "unix:/…"; add one, or remove it')
        if self.public_resolve and not self.public_origin:
            raise ValueError("public_resolve goes with public_origin; the account's own is resolve in its table")
        return self


class AccountConfig(Strict):
    """``[accounts.NAME]``: one account at a venue."""

    venue: str = DEFAULT_VENUE
    """The exchange, by the name of its folder in `signer.venues`. Taken at start."""
    store: str = HOME_FILE
    """The store in which `signer keys add` puts secrets: the home's own file, or one of ``[stores.NAME]``."""
    origin: str = DEFAULT_ORIGIN
    """Where the account trades: ``https://host[:port]``, or plain ``http://`` to loopback."""
    resolve: list[str] = Field(default_factory=list)
    """Addresses of the origin's host, if the resolver is not to be asked: /etc/hosts may lead to this gateway."""
    lane_depth: Annotated[int, Field(ge=1, le=32)] = 1
    """Requests in flight at once on each key; more than one only for a key with a nonce window. Taken at start."""
    queue: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Calls of each kind (cancels, orders, reads) that may wait for a key's lane before more are refused; of one
    client at most a quarter. Taken at start."""
    call_seconds: Seconds = 14.0
    """Seconds that a call may wait for its turn, and again for its answer. Bots should wait more than twice as long,
    because some clients send an order again after 30 s.
    """
    tier: Literal["starter", "intermediate", "pro", "unlimited"] = "starter"
    """The account's level at the exchange, which sets the size of its counters. A level that is too low only slows bots
    down. ``unlimited`` is for the sandbox.
    """
    gone_after_seconds: Seconds = 90.0
    """Seconds after which an order that got no answer, and that the venue does not know, counts as never placed. Taken
    at start; the longest of all accounts counts."""

    @field_validator("venue")
    @classmethod
    def _venue(cls, value: str) -> str:
        return check_name(value, "venue")

    @field_validator("origin")
    @classmethod
    def _origin(cls, value: str) -> str:
        check_origin(value)
        return value

    @model_validator(mode="after")
    def _own_origin(self) -> AccountConfig:
        if self.venue != DEFAULT_VENUE and "origin" not in self.model_fields_set:
            raise ValueError(f"origin is missing: {DEFAULT_ORIGIN} is not that of {self.venue}; say where it trades")
        return self

    @field_validator("resolve")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        return check_addresses(value)


class GroupConfig(Strict):
    """``[groups.NAME]``: clients that are halted together."""

    clients: Annotated[list[str], Field(min_length=1, max_length=MOST_CLIENTS)]
    """The clients of the group, for ``signer halt --group NAME``. A client may be in several groups. One that is taken
    out while its group is halted stays halted until ``signer resume``."""

    @field_validator("clients")
    @classmethod
    def _names(cls, value: list[str]) -> list[str]:
        for name in value:
            check_name(name, "client")
        return value


class AuditConfig(Strict):
    """``[audit]``: the log's segments."""

    segment_mib: Annotated[int, Field(ge=1, le=4096)] = 64
    """Size in MiB at which a new segment of the audit log begins. One begins each UTC day as well. Taken at start."""


class Config(Strict):
    """The whole of signer.toml."""

    version: Literal[1] = 1
    """The version of this file's format; a newer one is refused."""
    gateway: GatewayConfig = Field(default_factory=GatewayConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    audit: AuditConfig = Field(default_factory=AuditConfig)
    stores: Mapping[str, Annotated[StoreConfig, Field(discriminator="kind")]] = Field(default_factory=dict)
    accounts: Mapping[str, AccountConfig] = Field(min_length=1)
    groups: Mapping[str, GroupConfig] = Field(default_factory=dict)
    waivers: Mapping[str, Mapping[str, Reason]] = Field(default_factory=dict)
    """``[waivers.CREDENTIAL]``: permissions that a real key may have beyond its need, each with the reason."""

    @field_validator("accounts")
    @classmethod
    def _names(cls, value: Mapping[str, AccountConfig]) -> Mapping[str, AccountConfig]:
        for name in value:
            check_name(name, "account")
        return value

    @field_validator("groups")
    @classmethod
    def _group_names(cls, value: Mapping[str, GroupConfig]) -> Mapping[str, GroupConfig]:
        for name in value:
            check_name(name, "group")
        return value

    @field_validator("stores")
    @classmethod
    def _store_names(cls, value: Mapping[str, StoreConfig]) -> Mapping[str, StoreConfig]:
        for name in value:
            check_name(name, "store")
        if HOME_FILE in value:
            raise ValueError(f'"{HOME_FILE}" is the home\'s own store and is always there; choose another name')
        return value

    @field_validator("waivers")
    @classmethod
    def _waiver_names(cls, value: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        for name in value:
            check_name(name, "credential")
        return value

    @model_validator(mode="after")
    def _stores_are_there(self) -> Config:
        known = [HOME_FILE, *sorted(self.stores)]
        for name, account in self.accounts.items():
            if account.store not in known:
                raise ValueError(
                    f'accounts.{name}.store = "{account.store[:70]}" is no store; add [stores.{account.store[:70]}], '
                    f"known are: {', '.join(known)}"
                )
        return self

    @model_validator(mode="after")
    def _listeners_by_venue(self) -> Config:
        listen, venues = self.gateway.listen, sorted(self.venues)
        if isinstance(listen, dict) and sorted(listen) != venues:
            at = f"{', '.join(venues)[:200]}, and gateway.listen has {', '.join(sorted(listen))[:200] or 'nothing'}"
            raise ValueError(f"the accounts are at {at}; name there the listeners of each venue, and of no other")
        if len(venues) > 1 and not isinstance(listen, dict):
            example = ", ".join(f'{name} = "127.0.0.1:{8787 + number}"' for number, name in enumerate(venues[:3]))
            raise ValueError(
                f"the accounts are at several venues ({', '.join(venues)[:200]}), and a listener serves one; write "
                f"gateway.listen = {{ {example} }}"
            )
        if len(venues) > 1 and self.gateway.public_origin:
            raise ValueError(
                "gateway.public_origin is of one venue, and the accounts are at several; remove it: public calls of a "
                "venue go to the origin of its first account"
            )
        return self

    @property
    def listeners(self) -> tuple[tuple[str, Listener], ...]:
        """Each listener with the venue that it serves, in the order of ``listen``."""
        listen = self.gateway.listen
        by_venue = listen if isinstance(listen, dict) else {self.venues[0]: listen}
        return tuple((venue, Listener.parse(text)) for venue, texts in by_venue.items() for text in _listed(texts))

    @property
    def venues(self) -> tuple[str, ...]:
        """The names of the accounts' venues, in the order in which signer.toml first names them."""
        return tuple(dict.fromkeys(account.venue for account in self.accounts.values()))

    def venue_of(self, account: str) -> str:
        """The venue of an account; for one that is not in signer.toml any more that of the first."""
        return self.accounts[account].venue if account in self.accounts else self.venues[0]

    def clients_of(self, group: str) -> tuple[str, ...]:
        """The clients of a group, ordered by name; none for a group that is not there."""
        return tuple(sorted({*self.groups[group].clients})) if group in self.groups else ()

    def public(self, venue: str) -> tuple[str, list[str]]:
        """The origin for public calls of ``venue``, and its addresses; none if the resolver is asked."""
        if self.gateway.public_origin:
            return self.gateway.public_origin, self.gateway.public_resolve
        first = next(account for account in self.accounts.values() if account.venue == venue)
        return first.origin, first.resolve

    @property
    def variables(self) -> frozenset[str]:
        """The environment variables that PKCS#11 modules read."""
        stores = [store for store in self.stores.values() if isinstance(store, Pkcs11Config)]
        return frozenset(name for store in stores for name in store.environment)

    @property
    def origins(self) -> Mapping[str, tuple[str, list[str]]]:
        """Every origin and its addresses, by the key of signer.toml that states it."""
        return {key: way for venue in self.venues for key, way in self.origins_of(venue).items()}

    def origins_of(self, venue: str) -> Mapping[str, tuple[str, list[str]]]:
        """The origins of one venue, as in `origins`."""
        accounts = {name: each for name, each in self.accounts.items() if each.venue == venue}
        found = {f"accounts.{name}.origin": (each.origin, each.resolve) for name, each in accounts.items()}
        return found | {"gateway.public_origin": self.public(venue)} if self.gateway.public_origin else found


def load_config(path: Path) -> Config:
    """Read the settings in ``path``. Raises `ConfigError` with the file, the key and the hint."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path), hint="run `signer init`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the file cannot be read", where=str(path), hint="check its owner and mode") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), hint="correct the line named") from None
    _check_version(tables, path)
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(_one_line(error), where=str(path), hint="docs/configuration.md lists every key") from None


def _listed(listen: Listen) -> list[str]:
    """List the addresses in their order."""
    if isinstance(listen, dict):
        return [text for texts in listen.values() for text in _listed(texts)]
    return [listen] if isinstance(listen, str) else listen


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f'{text[:100]!r} is not a network; write it as "10.0.0.7/32", or "unix"') from None


def _check_version(tables: Mapping[str, object], path: Path) -> None:
    version = tables.get("version", CONFIG_VERSION)
    if isinstance(version, int) and version > CONFIG_VERSION:
        what = f"version = {version} was written for a newer signer (this one reads version {CONFIG_VERSION})"
        raise ConfigError(what, where=str(path), hint="upgrade signer")


def _one_line(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {_words(item)}"
                     for item in error.errors(include_url=False, include_input=False))  # fmt: skip


def _words(item: ErrorDetails) -> str:
    if item["type"] in {"extra_forbidden", "missing"}:
        return {"extra_forbidden": "no such key", "missing": "the key is missing"}[item["type"]]
    return hint(item["type"], item["msg"], item.get("ctx", {}))
