"""The caller's own way to a cluster: a kubeconfig of the person who runs the command, or the pod's service account.

The official loader is used here and nowhere else: it runs `exec` plugins and reads files, so it is for trusted input.
Somebody else's kubeconfig goes through federation.credentials.
"""

import logging
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.client import Configuration

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.kube.client import Target

_TROUBLE = (config.ConfigException, OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError)


def load_target(path: str | Path | None = None, context: str | None = None) -> Target:
    """The cluster of a trusted kubeconfig; without a path: $KUBECONFIG, else ~/.kube/config.

    Raises: SuanliError.
    """
    shown = str(path) if path else "the default kubeconfig ($KUBECONFIG, else ~/.kube/config)"
    if path and not Path(path).is_file():
        raise _malformed(f"{shown}: there is no such file; name the kubeconfig of the cluster's administrator")
    settings, heard = _settings(), _Heard(logging.ERROR)
    logging.getLogger().addHandler(heard)
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(path) if path else None,
            context=context,
            client_configuration=settings,
            persist_config=False,
        )
        target = _target(settings, shown)
    except _TROUBLE as error:
        raise _malformed(f"{shown} cannot be used: {_line(error)}") from error
    finally:
        logging.getLogger().removeHandler(heard)
    if not target.token and not (target.client_cert_pem and target.client_key_pem):
        why = f" ({heard.words})" if heard.words else ""
        raise _malformed(f"{shown}: its user has neither a token nor a client certificate{why}; give one of the two")
    return target


def load_in_cluster() -> Target:
    """The cluster that this pod runs in. Raises: SuanliError."""
    settings = _settings()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        return _target(settings, "the pod's service account")
    except _TROUBLE as error:
        text = f"no cluster: not in a pod with a service account ({_line(error)}), and SUANLI_KUBECONFIG is not set"
        raise _malformed(text) from error


class _Heard(logging.Handler):
    """The loader's own errors: when a credential plugin fails it only logs that, and goes on without credentials."""

    words = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first."""
        self.words = self.words or " ".join(record.getMessage().split())[:300]


def _settings() -> Configuration:
    settings = Configuration()
    settings.proxy = None  # what the environment says of proxies is not for API servers
    return settings


def _target(settings: Configuration, shown: str) -> Target:
    if not settings.host.startswith("https://"):
        raise _malformed(f'{shown}: server "{settings.host}" is not https; use the API server\'s https address')
    if not settings.verify_ssl:
        raise _malformed(f"{shown}: insecure-skip-tls-verify is not supported; give certificate-authority-data")
    if settings.proxy:
        raise _malformed(f"{shown}: proxy-url is not supported; give an address that is reached directly")
    kind, _, token = (settings.api_key.get("BearerToken") or "").partition(" ")
    if kind and kind.lower() != "bearer":
        raise _malformed(f"{shown}: username and password are not supported; use a token or a client certificate")
    return Target(
        server=settings.host.rstrip("/"),
        ca_pem=_read(settings.ssl_ca_cert),
        token=token or None,
        client_cert_pem=_read(settings.cert_file),
        client_key_pem=_read(settings.key_file),
        tls_server_name=settings.tls_server_name or None,
    )


def _read(path: str | None) -> str | None:
    return Path(path).read_text(encoding="ascii", errors="replace") if path else None


def _line(error: BaseException) -> str:
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "it is not a kubeconfig"  # the loader stumbled over its shape
    return " ".join(str(error).split())[:300] or type(error).__name__


def _malformed(message: str) -> SuanliError:
    return SuanliError(Reason.CREDENTIALS_MALFORMED, message)
