"""`usp sites`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from usp.commands.console import DatabaseUrl, print_table
from usp.commands.files import DryRun, FormatOption, Target, export_file, import_file
from usp.settings import load_settings

app = typer.Typer(help="The registry of sites.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or GeoJSON with points.")],
    dry_run: DryRun = False,
    format_: FormatOption = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Add sites, or change those that are there; all rows or none."""
    from usp.registry.columns import SITES
    from usp.registry.sites import bring_in_site_records

    settings = load_settings(database_url=database_url)
    import_file(settings, file, format_, SITES, partial(bring_in_site_records, dry_run=dry_run), dry_run=dry_run)


@app.command("export")
def export(file: Target = None, format_: FormatOption = None, database_url: DatabaseUrl = None) -> None:
    """Write all sites as a file that can be imported again."""
    from usp.registry.columns import SITES
    from usp.registry.sites import export_sites

    export_file(load_settings(database_url=database_url), file, format_, SITES, export_sites)


@app.command("list")
def list_(database_url: DatabaseUrl = None) -> None:
    """Print the sites."""
    print_table(
        load_settings(database_url=database_url),
        "SELECT name, title, address, lon, lat, approximate FROM usp.site ORDER BY name",
    )
