"""`luml buckets …`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from luml_app.cli.output import as_json, organization_option, printable, show_json, show_table

if TYPE_CHECKING:
    from luml_app.client.http import Client
    from luml_app.schemas.buckets import Bucket, BucketReport
    from luml_app.schemas.organizations import Organization


@click.group()
def buckets() -> None:
    """List, add, probe and remove the buckets of an organization."""


@buckets.command("list")
@organization_option
@as_json
def list_buckets(organization: str | None, as_json: bool) -> None:
    """List the buckets of an organization, without their credentials."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        found = client.buckets.list(find_organization(client, organization).id)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            one.bucket_name,
            "built-in" if one.builtin else one.type,
            one.endpoint,
            one.region,
            ", ".join(orbit.name for orbit in one.orbits),
            one.id,
        )
        for one in found
    ]
    heads = ("name", "type", "endpoint", "region", "orbits", "id")
    show_table(heads, rows, "No buckets. Add one with `luml buckets add`.")


@buckets.command()
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["s3", "azure"]), default="s3", help="What it speaks (s3).")
@click.option("--endpoint", help="The address of the S3 service, such as https://s3.eu-central-1.amazonaws.com.")
@click.option("--region", help="The S3 region (us-east-1).")
@click.option("--access-key", help="The S3 access key; without one the bucket is used as a public one.")
@click.option("--session-token", is_flag=True, help="The S3 credentials come with a session token.")
@click.option("--no-cert-check", is_flag=True, help="Trust whatever certificate the service shows.")
@click.option("--no-probe", is_flag=True, help="Do not try it.")
@organization_option
@as_json
def add(
    name: str,
    kind: str,
    endpoint: str | None,
    region: str | None,
    access_key: str | None,
    session_token: bool,
    no_cert_check: bool,
    no_probe: bool,
    organization: str | None,
    as_json: bool,
) -> int:
    """Add the bucket NAME and try it.

    Secrets are asked for, or read from standard input, one a line: the secret key and the session token of S3, the
    connection string of Azure. On the command line everybody on this machine could read them.
    """
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    body: dict[str, Any] = {"bucket_name": name, "type": kind}
    if kind == "azure":
        body["endpoint"] = _secret("Connection string")
    else:
        if endpoint is None:
            raise click.UsageError("--endpoint is needed: the address of the S3 service.")
        body |= {"endpoint": endpoint, "region": region, "access_key": access_key}
        body |= {"secret_key": _secret("Secret key")} if access_key else {}
        body |= {"session_token": _secret("Session token")} if session_token else {}
        body |= {"cert_check": False} if no_cert_check else {}
    with Client() as client:
        place = find_organization(client, organization)
        bucket = client.buckets.create(place.id, **body)
        report = None if no_probe else client.buckets.probe(place.id, bucket.id)
    if as_json:
        show_json({"bucket": bucket, "probe": report})
    else:
        click.echo(printable(f"Added {bucket.bucket_name} at {bucket.endpoint} as {bucket.id}."))
        if report is not None:
            _show_report(report)
    return 0 if report is None or report.ok else 1


@buckets.command()
@click.argument("bucket")
@organization_option
@as_json
def probe(bucket: str, organization: str | None, as_json: bool) -> int:
    """Try a bucket, by name or id: write, read, ranges, upload in parts, delete, and access from browsers.

    The exit code is 1 when LUML cannot use the bucket as it is.
    """
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        place = find_organization(client, organization)
        report = client.buckets.probe(place.id, _bucket(client, place, bucket).id)
    if as_json:
        show_json(report)
    else:
        _show_report(report)
    return 0 if report.ok else 1


@buckets.command()
@click.argument("bucket")
@organization_option
def remove(bucket: str, organization: str | None) -> None:
    """Remove a bucket, by name or id, from LUML; what is in it stays. Refused while orbits or artifacts need it."""
    from luml_app.client.http import Client
    from luml_app.client.organizations import find_organization

    with Client() as client:
        place = find_organization(client, organization)
        found = _bucket(client, place, bucket)
        client.buckets.delete(place.id, found.id)
    click.echo(printable(f"Removed {found.bucket_name} at {found.endpoint}; what is in it stays."))


def _show_report(report: BucketReport) -> None:
    for step in report.steps:
        click.echo(printable(f"  {'ok   ' if step.ok else 'fails'}  {step.name:<10} {step.detail}"))
    for tool, text in (report.cors or {}).items():
        click.echo(f"\nThe CORS configuration that the bucket needs ({tool}):\n\n{printable(text)}")


def _secret(label: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(label, hide_input=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise click.UsageError(f"{label}: nothing on standard input.")
    return line


def _bucket(client: Client, place: Organization, wanted: str) -> Bucket:
    known = client.buckets.list(place.id)
    found = [one for one in known if wanted in (one.bucket_name, str(one.id))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{one.bucket_name} ({one.id})" for one in known) or "none"
    what = "Several buckets are" if found else "No bucket is"
    raise click.UsageError(f"{what} called {wanted!r}; say which by id. There are: {names}")
