"""hvac as we use it: no proxy, no redirect, no token from the environment; and Vault's errors in words of ours."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import hvac
import requests
from hvac import exceptions

from signer.errors import KeyStoreError, StoreUnavailable
from signer.home.stores import VaultConfig

MOST_WORDS = 200
NO_RIGHT = "give it the rights in deploy/vault (gateway.hcl to serve, admin.hcl for `signer keys add` and `remove`)"
LATER = "signer tries again by itself"
_MOMENTS_AFTER_MOUNTING_S = 5.0
_UPGRADING = "Upgrading from non-versioned to versioned data"


def client(config: VaultConfig, token: str) -> Any:
    """Make an `hvac.Client` for ``config``; ``token`` may be empty, until it is known."""
    session = requests.Session()
    session.trust_env = False  # neither proxies nor CA files nor .netrc of whoever started us
    verify = str(config.ca_file) if config.ca_file is not None else True
    session.verify = verify
    return hvac.Client(
        url=config.address,
        token=token,
        verify=verify,
        timeout=config.deadline_seconds,
        allow_redirects=False,  # the token goes where the operator said, nowhere else
        session=session,
        namespace=config.namespace or None,
    )


@contextlib.contextmanager
def explained(where: str, *, absent: str = "there is no such path in it", hint: str = "") -> Iterator[None]:
    """Turn hvac's and requests' errors into `StoreUnavailable` or `KeyStoreError`.

    ``absent`` says what a 404 means, and ``hint`` what to do about what Vault refuses.
    """
    # `from None`: the exceptions of both carry requests and answers.
    try:
        yield
    except exceptions.Forbidden as error:
        raise VaultDenied(f"Vault refuses it: {words(error)}", where=where, hint=hint or NO_RIGHT) from None
    except exceptions.InvalidPath as error:
        what = words(error)
        mount = f"nothing is mounted there ({what})"
        raise KeyStoreError(mount if "no handler" in what else absent, where=where, hint="check the names") from None
    except (exceptions.VaultDown, exceptions.VaultNotInitialized) as error:
        what = f"Vault does not serve: {words(error)}"
        raise StoreUnavailable(what, where=where, hint="unseal it or wait") from None
    except (exceptions.InternalServerError, exceptions.BadGateway, exceptions.RateLimitExceeded) as error:
        raise StoreUnavailable(f"Vault cannot now: {words(error)}", where=where, hint=LATER) from None
    except exceptions.VaultError as error:
        raise KeyStoreError(
            f"Vault does not take it: {words(error)}", where=where, hint=hint or "see its log"
        ) from None
    except requests.exceptions.SSLError as error:
        raise _unproven(error, where) from None
    except requests.exceptions.RequestException as error:
        what = f"Vault does not answer ({type(error).__name__})"
        raise StoreUnavailable(what, where=where, hint=LATER) from None
    except OSError as error:  # requests says so of a CA file
        what = f"the CA certificates cannot be read ({error.strerror or error})"
        raise KeyStoreError(what, where=where, hint="name a readable PEM file in ca_file") from None


class VaultDenied(KeyStoreError):
    """Vault does not let this token do it: it ran out, was revoked, or never could."""


def words(error: exceptions.VaultError) -> str:
    """Return what Vault says is wrong, on one line and bounded; it quotes no secret."""
    said = error.errors if isinstance(error.errors, list) else [error.errors or error]
    text = " ".join(" ".join(str(each) for each in said).split())
    return "".join(character for character in text if character.isprintable())[:MOST_WORDS] or "no reason given"


def table(answer: object, *names: str, where: str) -> Mapping[str, Any]:
    """Find the table in ``answer`` that ``names`` lead to. Raises `KeyStoreError`: what answers there is not Vault."""
    for name in names:
        answer = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(answer, Mapping):
        raise KeyStoreError("what answers there does not speak like Vault", where=where, hint="check its address")
    return answer


def require_engine(vault: Any, mount: str, kind: str, *, where: str) -> None:
    """Raises `KeyStoreError` unless ``kind`` (kv, of version 2, or transit) is mounted at ``mount``.

    By the path that Vault's own `vault kv` asks first: any token with a right below the mount may.
    """
    with explained(where):
        answer = vault.adapter.get(f"/v1/sys/internal/ui/mounts/{mount}")
    data = table(answer, "data", where=where)
    version = (data.get("options") or {}).get("version")
    if data.get("type") != kind:
        hint = f"mount {kind} there, or name the right mount"
        raise KeyStoreError(f"{mount}/ holds the engine {data.get('type')}, not {kind}", where=where, hint=hint)
    if kind == "kv" and version != "2":
        hint = f"name a mount of version 2, or run `vault kv enable-versioning {mount}`"
        raise KeyStoreError(f"{mount}/ is KV version {version or 1}, and signer uses version 2", where=where, hint=hint)


def write(vault: Any, path: str, data: Mapping[str, object]) -> None:
    """Write to ``path``. A KV engine that was mounted a moment ago is upgraded first, and refuses for that moment."""
    until = time.monotonic() + _MOMENTS_AFTER_MOUNTING_S
    while True:
        try:
            vault.write_data(path, data=data)
        except exceptions.InvalidRequest as error:
            if _UPGRADING not in words(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _unproven(error: Exception, where: str) -> KeyStoreError:
    if "CERTIFICATE_VERIFY_FAILED" not in str(error):
        return StoreUnavailable("the TLS connection to Vault broke", where=where, hint=LATER)
    what = "Vault's certificate does not prove that it is Vault"
    return KeyStoreError(
        what, where=where, hint="name the CA certificate that signed it in ca_file, or the right address"
    )
