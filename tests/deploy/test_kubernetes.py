"""The Kubernetes manifests: one gateway, never two, in a pod that may do nothing but serve."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from signer import __version__
from signer.cli.main import main
from signer.home.settings import Config
from signer.home.stores import KubernetesLogin, VaultTransitConfig
from signer.keys.passphrase import CREDENTIAL
from signer.serving.descriptors import descriptors_needed
from tests.deploy.manifests import DOCKERFILE, KUBERNETES, OBJECTS, Json, comments, documents

PATCH: Json = documents(KUBERNETES / "vault.yaml")[0]
MERGED_BY = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath"}
"""Lists that a strategic merge patch adds to, and what it knows their members by (Kubernetes' API conventions)."""
SCHEMAS = ["1.29", "1.37"]
"""The first version with all that is used (ReadWriteOncePod), and the last."""


def the(kind: str, name: str = "") -> Json:
    """The one object of that kind, and of that name if given."""
    (found,) = [each for each in OBJECTS if each["kind"] == kind and name in {"", each["metadata"]["name"]}]
    return found


def patched(what: Any, patch: Any, name: str = "") -> Any:
    """``what`` after `kubectl patch` with a strategic merge patch."""
    if isinstance(patch, dict):
        return what | {key: patched(what.get(key, {}), value, key) for key, value in patch.items()}
    if name not in MERGED_BY:
        return patch
    by = MERGED_BY[name]
    mine = {each[by]: each for each in what}
    return list((mine | {each[by]: patched(mine.get(each[by], {}), each) for each in patch}).values())


POD: Json = the("StatefulSet")["spec"]["template"]["spec"]
WITH_VAULT: Json = patched(the("StatefulSet"), PATCH)


@pytest.mark.parametrize("version", SCHEMAS)
def test_every_object_is_one_to_kubernetes(version: str) -> None:
    """Against the published schemas, unknown fields refused; the StatefulSet also as vault.yaml patches it."""
    for each in [*OBJECTS, WITH_VAULT]:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_field_that_is_none_would_be_noticed() -> None:
    """The validator can say no."""
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(the("StatefulSet") | {"sepc": {}}, SCHEMAS[-1], strict=True)


def test_the_manifest_says_how_many_file_descriptors_its_settings_need() -> None:
    """Kubernetes cannot set the limit, so the comment names the number to look for on a node."""
    config = Config.model_validate(tomllib.loads(the("ConfigMap", "signer-settings")["data"]["signer.toml"]))
    told = " ".join((KUBERNETES / "signer.yaml").read_text("utf-8").replace("#", " ").split())
    assert f"the gateway needs {descriptors_needed(config)}." in told


def test_there_is_never_a_second_gateway() -> None:
    """There is one replica, replaced only after it has ended, on a volume of one pod."""
    spec = the("StatefulSet")["spec"]
    assert (spec["replicas"], spec["updateStrategy"]) == (1, {"type": "OnDelete"})
    assert the("PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert POD["terminationGracePeriodSeconds"] == 90


def test_the_namespace_lets_nothing_less_confined_in() -> None:
    """Pod security `restricted` is enforced, and no policy means no traffic."""
    labels = the("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert the("NetworkPolicy", "nothing-by-default")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_the_gateway_is_reached_by_bots_and_calls_the_exchange() -> None:
    """Ingress from labelled pods of labelled namespaces; egress to DNS, and to public addresses on port 443."""
    policy = the("NetworkPolicy", "signer")["spec"]
    assert (
        policy["podSelector"]["matchLabels"].items()
        <= the("StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    )
    (rule,) = policy["ingress"]
    assert all(set(source) == {"namespaceSelector", "podSelector"} for source in rule["from"])
    assert [[port["port"] for port in rule["ports"]] for rule in policy["egress"]] == [[53, 53], [443]]
    assert "169.254.0.0/16" in policy["egress"][1]["to"][0]["ipBlock"]["except"]


def test_the_pod_has_no_token_but_the_one_for_vault() -> None:
    """The pod has no token; vault.yaml adds one that lives for minutes and serves Vault alone."""
    assert the("ServiceAccount")["automountServiceAccountToken"] is POD["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in POD["volumes"])
    volumes = WITH_VAULT["spec"]["template"]["spec"]["volumes"]
    (token,) = [volume["projected"]["sources"] for volume in volumes if "projected" in volume]
    assert token == [{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}}]


def test_what_is_mounted_is_where_the_gateway_looks() -> None:
    """Image, passphrase, settings and policies; each mount has its volume, and only two of them can be written."""
    (container,) = POD["containers"]
    assert container["image"].endswith(f"/signer:{__version__}")
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[f"/run/secrets/{CREDENTIAL}"]["subPath"] == CREDENTIAL
    home = "/var/lib/signer/home"
    assert f"SIGNER_HOME={home}" in DOCKERFILE
    assert {f"{home}/signer.toml", f"{home}/policies"} <= set(mounts)
    assert {path for path, mount in mounts.items() if not mount.get("readOnly")} == {"/var/lib/signer", "/tmp"}  # noqa: S108
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in POD["volumes"]}


def test_the_settings_are_settings_also_with_vault() -> None:
    """signer.toml of the manifest, and what vault.yaml tells to add to it, for what the patch mounts."""
    text = the("ConfigMap")["data"]["signer.toml"]
    lines = comments(KUBERNETES / "vault.yaml")
    start = lines.index("[stores.vault]")
    config = Config.model_validate(tomllib.loads(text + 'store = "vault"\n' + "\n".join(lines[start : start + 8])))
    store = config.stores["vault"]
    assert isinstance(store, VaultTransitConfig)
    assert isinstance(store.login, KubernetesLogin)
    (container,) = WITH_VAULT["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(store.login.jwt_file.parent), str(store.ca_file and store.ca_file.parent)} <= mounted
    assert config.gateway.listeners[0].port == container["ports"][0]["containerPort"]


def config_map(folder: Path, **files: str) -> None:
    """A folder as kubelet makes it of a ConfigMap: each file a symlink into the version that ``..data`` points to."""
    version = folder / f"..{len(list(folder.iterdir()))}"
    version.mkdir()
    for name, text in files.items():
        (version / f"{name}.toml").write_text(text)
        if not (folder / f"{name}.toml").is_symlink():
            (folder / f"{name}.toml").symlink_to(f"..data/{name}.toml")
    (folder / "..next").symlink_to(version.name)
    (folder / "..next").replace(folder / "..data")


def test_policies_can_come_as_symlinks_that_change_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A ConfigMap's folder is a folder of policies, before and after kubelet has put another version in place."""
    policies, home = tmp_path / "home" / "policies", tmp_path / "home"
    assert main(["--home", str(home), "init", "--no-input"]) == 0
    tracker = (policies / "tracker.toml").read_text()
    for path in policies.iterdir():
        path.unlink()
    ask = ["--home", str(home), "policy", "explain", "--policy", "tracker", "Balance"]
    config_map(policies, tracker=tracker)
    assert main(ask) == 0
    config_map(policies, tracker=tracker.replace('"query-funds", ', ""))
    capfd.readouterr()
    assert main(ask) == 1
    assert "query-funds" in capfd.readouterr().out


def test_the_passphrase_may_be_root_s_and_its_group_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0440, as a Secret is with fsGroup, in the folder that the image names; also for `signer init`."""
    file = tmp_path / CREDENTIAL
    file.write_text("five words for this test\n")
    file.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert main(["--home", str(tmp_path / "home"), "init"]) == 0
    assert main(["--home", str(tmp_path / "home"), "keys", "list"]) == 0
    assert not (tmp_path / "home" / "passphrase").exists()
