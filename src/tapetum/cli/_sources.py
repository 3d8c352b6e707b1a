"""Options that several commands share: what they start from, and by which rules it is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(help="Folder of a finished run, or a model file.")]
SourceArgument = Annotated[Path, typer.Argument(help="Folder of a finished run, or of embeddings.")]
DataOption = Annotated[str, typer.Option(help="FORMAT:ROOT")]
DataOfRunOption = Annotated[str | None, typer.Option(help="FORMAT:ROOT; not needed for embeddings.")]
SplitOption = Annotated[str, typer.Option(help="train, query, gallery or test.")]
ProtocolOption = Annotated[str | None, typer.Option(help="A name from `tapetum protocols`.")]
RootOption = Annotated[Path | None, typer.Option(help="Folder of the data set, where it lists draws.")]
GalleryArgument = Annotated[str, typer.Argument(help="A folder, or another address of a gallery.")]
