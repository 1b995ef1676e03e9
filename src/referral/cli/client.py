"""Commands for clients, the team's apps that sign people in."""

from __future__ import annotations

import rich_click as click
from rich.table import Column, Table

from referral.cli import common, tables
from referral.context import Context
from referral.openid import clients, scope
from referral.openid.clients import Registration
from referral.storage.models import Client


@click.group()
def client() -> None:
    """Manage clients, your apps that sign people in with OpenID Connect."""


@client.command()
@click.argument("name")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    metavar="URI",
    multiple=True,
    required=True,
    help="Where people are sent back to. Can be given several times.",
)
@click.option(
    "--post-logout-redirect-uri",
    "post_logout_redirect_uris",
    metavar="URI",
    multiple=True,
    help="Where people may be sent after a sign-out. Can be given several times.",
)
@click.option("--public", is_flag=True, help="A mobile or single-page app: it gets no secret.")
@click.option(
    "--without-pkce", is_flag=True, help="For a confidential client whose library has no PKCE."
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.ACCOUNT]),
    multiple=True,
    help="Let the app request this scope: its access tokens are then valid for the API.",
)
@click.option(
    "--audience", metavar="URI", help="The `aud` of access tokens. Default: the client_id."
)
def new(
    *,
    name: str,
    redirect_uris: tuple[str, ...],
    post_logout_redirect_uris: tuple[str, ...],
    public: bool,
    without_pkce: bool,
    scopes: tuple[str, ...],
    audience: str | None,
) -> None:
    """Create a client called NAME.

    Prints client_id and client_secret, which is shown only once, to standard output; what else
    the app needs goes to standard error.
    """
    registration = Registration(
        name=name,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=post_logout_redirect_uris,
        is_public=public,
        without_pkce=without_pkce,
        account_allowed=scope.ACCOUNT in scopes,
        audience=audience,
    )

    async def work(ctx: Context) -> tuple[str, Client, str | None]:
        return (ctx.issuer.url, *await clients.create(ctx, registration))

    issuer, made, secret = common.run_with_context(work)
    _print_credentials(made, secret)
    click.echo(f"issuer={issuer}", err=True)
    for uri in clients.uris(made.redirect_uris):
        click.echo(f"redirect_uri={uri}", err=True)
    click.echo(f"scope={' '.join(clients.scopes(made))}", err=True)
    common.echo_database()


@client.command(name="list")
def list_clients() -> None:
    """List the clients, oldest first."""

    async def work(_: Context) -> list[Client]:
        return await clients.list_all()

    table = Table("name", Column("client_id", min_width=24), "type", "created")
    for each in common.run_with_context(work):
        table.add_row(
            tables.text(each.name), each.id, _kind(each), common.format_time(each.created_at)
        )
    tables.show(table)


@client.command()
@click.argument("client")
def show(client: str) -> None:
    """Show CLIENT, a name or a client_id. Its secret is not stored."""

    async def work(ctx: Context) -> tuple[str, Client]:
        return ctx.issuer.url, await clients.get(client)

    issuer, found = common.run_with_context(work)
    table = Table(show_header=False)
    for label, value in (
        ("name", found.name),
        ("client_id", found.id),
        ("type", _kind(found)),
        ("secrets", str(clients.secret_count(found))),
        ("PKCE", "required" if found.requires_pkce else "not required"),
        ("issuer", issuer),
        *(("redirect_uri", uri) for uri in clients.uris(found.redirect_uris)),
        *(
            ("post_logout_redirect_uri", uri)
            for uri in clients.uris(found.post_logout_redirect_uris)
        ),
        ("scope", " ".join(clients.scopes(found))),
        ("audience", found.audience or found.id),
        ("created", common.format_time(found.created_at)),
    ):
        table.add_row(label, tables.text(value))
    tables.show(table)


@client.command()
@click.argument("client")
@click.option(
    "--finish", is_flag=True, help="Revoke the previous secret instead of making another."
)
def rotate(client: str, *, finish: bool) -> None:
    """Make another secret for CLIENT, a name or a client_id, and print it.

    The previous secret stays valid until --finish, or until the next rotation.
    """

    async def work(ctx: Context) -> tuple[Client, str | None]:
        found = await clients.get(client)
        if finish:
            await clients.finish_rotation(ctx, found.id)
            return found, None
        return found, await clients.rotate(ctx, found.id)

    found, secret = common.run_with_context(work)
    if secret is None:
        click.echo(f"{found.name} has one secret now")
    else:
        _print_credentials(found, secret)
    common.echo_database()


@client.command()
@click.argument("client")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def delete(client: str, *, yes: bool) -> None:
    """Delete CLIENT, a name or a client_id, and end all sessions that it began."""
    found = common.run_with_context(lambda _: clients.get(client))
    if not yes:
        click.confirm(f"Delete {found.name} and end all of its sessions?", abort=True)
    common.run_with_context(lambda ctx: clients.delete(ctx, found.id))
    click.echo(f"{found.name} is deleted")
    common.echo_database()


def _kind(client: Client) -> str:
    return "public" if client.is_public else "confidential"


def _print_credentials(client: Client, secret: str | None) -> None:
    """Print the credentials for scripts: `name=value`, each on a line of its own."""
    click.echo(f"client_id={client.id}")
    if secret is not None:
        click.echo(f"client_secret={secret}")
