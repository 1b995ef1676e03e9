"""Apache with mod_auth_openidc, as Debian packages both. It serves one page."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from processes import ROOT
from provider import Provider

UNPACKED = ROOT / ".cache" / "apache2" / "usr"

_MODULES = (
    *("mpm_event", "authn_core", "authz_core", "authz_user", "dir", "env", "filter", "include"),
    *("mime", "auth_openidc"),
)
_CONFIGURATION = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
Mutex file:{folder}
ErrorLog /dev/stderr
LogLevel warn
Listen 127.0.0.1:{port}
DocumentRoot {folder}/site
TypesConfig /dev/null
DirectoryIndex index.shtml
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret {client_secret}
OIDCRedirectURI {origin}/callback
OIDCCryptoPassphrase a-passphrase
OIDCScope "openid phone offline_access"
OIDCPKCEMethod S256
OIDCRemoteUserClaim phone_number
OIDCCABundlePath {folder}/ca.pem

<Location />
    Options +Includes
    AuthType openid-connect
    Require valid-user
    OIDCUnAuthAction pass
</Location>
"""
_PAGE = """<!doctype html>
<!--#if expr="-n reqenv('OIDC_CLAIM_sub')" -->
<p id="who"><!--#echo var="OIDC_CLAIM_phone_number" --></p>
<a id="refresh" href="/callback?{refresh}&amp;access_token=<!--#echo encoding="url"
 var="OIDC_access_token" -->">Refresh</a>
<a id="sign-out" href="/callback?{logout}">Sign out</a>
<!--#else -->
<a id="sign-in" href="/callback?{sign_in}">Sign in</a>
<!--#endif -->
"""


@contextmanager
def site(
    provider: Provider, *, port: int, origin: str, client: dict[str, str]
) -> Iterator[tuple[str | Path, ...]]:
    """Write a site; yield the command that serves it."""
    assert UNPACKED.exists(), "run `make apache2` first"
    # Apache's workers give up being root, and the tests' own folders are only for root
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(provider.certificate, folder / "ca.pem")
        (folder / "site").mkdir()
        home = f"{origin}/"
        (folder / "site" / "index.shtml").write_text(
            _PAGE.format(
                refresh=urlencode({"refresh": home}),
                logout=urlencode({"logout": home}),
                sign_in=urlencode({"iss": provider.url, "target_link_uri": home}),
            )
        )
        (folder / "apache.conf").write_text(
            "".join(
                f"LoadModule {each}_module {UNPACKED}/lib/apache2/modules/mod_{each}.so\n"
                for each in _MODULES
            )
            + ("User nobody\nGroup nogroup\n" if os.geteuid() == 0 else "")
            + _CONFIGURATION.format(
                folder=folder,
                port=port,
                origin=origin,
                issuer=provider.url,
                client_id=client["CLIENT_ID"],
                client_secret=client["CLIENT_SECRET"],
            )
        )
        yield (UNPACKED / "sbin" / "apache2", "-D", "FOREGROUND", "-f", folder / "apache.conf")


def libraries() -> str:
    """Return the folder of the libraries that were unpacked with it."""
    return str(next(UNPACKED.glob("lib/*-linux-gnu*")))
